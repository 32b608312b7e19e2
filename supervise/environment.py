"""The environment of the deployment's programs without containers: chosen, as an image has it, and not inherited.

Whoever types `make run` or `qmailctl` may stand in any directory and have anything in the environment; none of it
decides which code a program of ours runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# What a deployment is told (docs/operations.md), and how people have their times and texts.
KEPT = (
    "ADDRESS", "ADMIN_USER", "DNS_SERVER", "IDENTITY", "LANG", "LC_ALL", "LC_CTYPE", "LOG_FORMAT", "ME", "PROCESSES",
    "QMAIL_DIR", "QMQP_LISTEN", "QUEUE_BYTES", "TZ",
)  # fmt: skip
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# No module is looked for in the current directory, nor in anybody's home (python(1)).
SAFE_FLAGS = ("-P", "-s")
SAFE = {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a program of the deployment gets, and where it looks for others: absolute places only."""
    found = {name: environ[name] for name in KEPT if name in environ}
    absolute = [place for place in environ.get("PATH", "").split(os.pathsep) if place.startswith("/")]
    return {**found, "PATH": os.pathsep.join(absolute) or PATH, **SAFE}
