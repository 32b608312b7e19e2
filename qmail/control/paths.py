"""Where everything lies: the tutorial's places in a container, or below QMAIL_DIR without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The directories and files of one deployment (hier(7) of qmail, and ours beside them)."""

    control: Path
    alias: Path
    users: Path
    auth: Path
    home: Path
    run: Path
    log: Path
    tls: Path
    credentials: Path
    tcp_smtp: Path
    imapcache: Path
    plugins: Path


def read_paths(environ: Mapping[str, str]) -> Paths:
    """The deployment's paths: below QMAIL_DIR where it is set, else as the tutorial has them.

    RUN_DIR is a process's own `run`, where no container gives each role one of its own."""
    run = Path(environ["RUN_DIR"]).resolve() if environ.get("RUN_DIR") else None
    root = environ.get("QMAIL_DIR")
    if root:
        base = Path(root).resolve()
        return Paths(
            control=base / "control",
            alias=base / "alias",
            users=base / "users",
            auth=base / "auth",
            home=base / "home",
            run=run or base / "run",
            log=base / "log",
            tls=base / "tls",
            credentials=base / "credentials",
            tcp_smtp=base / "control" / "tcp.smtp",
            imapcache=base / "imapcache",
            plugins=base / "plugins",
        )
    qmail = Path("/var/qmail")
    return Paths(
        control=qmail / "control",
        alias=qmail / "alias",
        users=qmail / "users",
        auth=qmail / "auth",
        home=Path("/home"),
        run=run or Path("/run/qmail"),
        log=Path("/var/log"),
        tls=qmail / "tls",
        credentials=Path("/run/credentials"),
        tcp_smtp=qmail / "control" / "tcp.smtp",
        imapcache=Path("/var/cache/imap"),
        plugins=qmail / "plugins",
    )
