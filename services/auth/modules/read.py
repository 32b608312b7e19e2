"""The modules of authmodulelist, and asking them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from qmail.control.files import Control
from qmail.control.paths import Paths
from qmail.control.table import AUTHCUSTOM
from qmail.log.notices import Notices
from services.auth.modules.custom import Custom
from services.auth.modules.hashes import Hashes
from services.auth.modules.ldap import Ldap
from services.auth.modules.module import Module, NotSetUp, Verdict, spend_the_same
from services.auth.modules.pgsql import PgSql
from services.auth.modules.shadow import Shadow
from services.auth.modules.system_pam import Pam
from services.auth.modules.userdb import UserDb

Makers = Mapping[bytes, Callable[[], Module]]


def makers(paths: Paths, control: Control, notices: Notices, at_once: int) -> Makers:
    """How each module is made that there is; making one raises NotSetUp, ModuleError. at_once: passwords that are
    verified at the same time."""
    hidden = (paths.auth, paths.credentials)
    return {
        b"authcustom": lambda: Custom(control.get(AUTHCUSTOM), hidden, at_once),
        b"authldap": lambda: Ldap(paths.auth / "authldaprc"),
        b"authpam": Pam,
        b"authpgsql": lambda: PgSql(paths.auth / "authpgsqlrc"),
        b"authshadow": lambda: Shadow(paths.auth / "shadow"),
        b"authuserdb": lambda: UserDb(Hashes(paths.auth / "passwd", notices)),
    }


def read_modules(
    names: Iterable[bytes], known: Makers, notices: Notices, say: Callable[[str], None]
) -> tuple[Module, ...]:
    """The modules, tried in order. One that is not known is an alert, one that is not set up a line by `say`; both are
    passed over. Raises ModuleError for one whose settings cannot be meant."""
    found = []
    for name in names:
        text = name.decode("ascii", "backslashreplace")
        maker = known.get(name)
        if maker is None:
            there = ", ".join(sorted(each.decode() for each in known))
            notices.stands(f"module {text}", f"authmodulelist: {text} is unknown and passed over; there are {there}")
            continue
        try:
            found.append(maker())
        except NotSetUp as why:
            say(f"{text} is passed over: {why}")
    if not found:
        notices.stands(NO_MODULE, f"{NO_MODULE}: nobody can log in")
    return tuple(found)


NO_MODULE: Final = "authmodulelist names no module that could verify a password"


def verify(modules: Sequence[Module], name: bytes | None, password: bytes, service: str) -> Verdict:
    """The first module that knows the name decides. Unknown names (None: without an account) cost the same."""
    for module in modules if name is not None else ():
        assert name is not None
        verdict = module(name, password, service)
        if verdict is not Verdict.UNKNOWN:
            return verdict
    spend_the_same(password)
    return Verdict.NO


def close_modules(modules: Iterable[Module]) -> None:
    """End what they have started."""
    for module in modules:
        if isinstance(module, Custom):
            module.close()
