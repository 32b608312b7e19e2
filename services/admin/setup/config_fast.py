"""What qmail's config-fast wrote, and the few control files that the tutorial adds (chapter 5.1)."""

from __future__ import annotations

import re

DATABYTES = 26_214_400
CONCURRENCY_INCOMING = 50
# Who wrote the message has it; a bounce shows enough of it to be known again.
BOUNCE_MAX_BYTES = 50_000

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_host(name: str) -> str:
    """A host name in lower case. Raises ValueError unless it has two labels or more (RFC 1123 2.1)."""
    host = name.strip().rstrip(".").lower()
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"ME is {name!r}; expected this mail server's full host name, as in mail.xeris.com")
    return host


def default_domain(host: str) -> str:
    """The host's name without its first label where two or more are left (config-fast.sh)."""
    head, _, rest = host.partition(".")
    return rest if "." in rest else f"{head}.{rest}"


def plus_domain(host: str) -> str:
    """The last two labels (config-fast.sh)."""
    return ".".join(host.split(".")[-2:])


def render_localips(address: str) -> str:
    """control/localips: who we are where address translation hides it."""
    return "".join(f"{ip}\n" for ip in dict.fromkeys(("127.0.0.1", address)))


def render_control(host: str, queue_bytes: int) -> dict[str, str]:
    """File name -> contents; `me` last, because its presence says that the others are there."""
    domain = default_domain(host)
    names = "".join(f"{name}\n" for name in dict.fromkeys((host, domain)))
    return {
        "defaultdomain": f"{domain}\n",
        "plusdomain": f"{plus_domain(host)}\n",
        "locals": names,
        "rcpthosts": names,
        "databytes": f"{DATABYTES}\n",
        "concurrencyincoming": f"{CONCURRENCY_INCOMING}\n",
        "bouncemaxbytes": f"{BOUNCE_MAX_BYTES}\n",
        "defaultdelivery": "./Maildir/\n",
        "queuebytes": f"{queue_bytes}\n",
        "me": f"{host}\n",
    }


def render_aliases(admin_user: str) -> dict[str, str]:
    """File name -> contents of alias/ (chapter 5.1.6).

    alias has a mailbox as every account has (qmail-getpw(8)): `.qmail` says whose it is, since nobody logs in as alias.
    """
    return {
        ".qmail": f"{admin_user}\n",
        ".qmail-postmaster": f"{admin_user}\n",
        ".qmail-root": f"{admin_user}\n",
        ".qmail-mailer-daemon": "root\n",
    }


def render_tcp_smtp(*, loopback_only: bool) -> str:
    """The rules for clients (tcprules(1)): nobody relays, but this machine where only it can connect.

    Behind a container engine's address translation the client 127.0.0.1 may be anybody, so nobody is trusted."""
    return ('127.:allow,RELAYCLIENT=""\n' if loopback_only else "") + ":allow\n"
