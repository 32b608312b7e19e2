"""setuidgid(8), envuidgid(8), softlimit(8), envdir(8), setlock(8), pgrphack(8): change something, become a program."""

from __future__ import annotations

import fcntl
import os
import pwd
import resource
from collections.abc import Sequence

from services.programs.options import Options
from services.programs.program import PERMANENT, TEMPORARY, Ends, Program, fatal, of_system, replace

_SOFTLIMIT_USAGE = (
    b"softlimit: usage: softlimit [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] "
    b"[-m membytes] [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child"
)
_LIMITS = {
    b"a": (resource.RLIMIT_AS,),
    b"c": (resource.RLIMIT_CORE,),
    b"d": (resource.RLIMIT_DATA,),
    b"f": (resource.RLIMIT_FSIZE,),
    b"l": (resource.RLIMIT_MEMLOCK,),
    b"m": (resource.RLIMIT_DATA, resource.RLIMIT_STACK, resource.RLIMIT_MEMLOCK, resource.RLIMIT_AS),
    b"o": (resource.RLIMIT_NOFILE,),
    b"p": (resource.RLIMIT_NPROC,),
    b"r": (resource.RLIMIT_RSS,),
    b"s": (resource.RLIMIT_STACK,),
    b"t": (resource.RLIMIT_CPU,),
}


def softlimit(arguments: Sequence[bytes]) -> int:
    """Lower limits, `=` for the hard one; a limit above it is it."""
    letters = b"".join(_LIMITS)
    options = Options(b"softlimit", arguments, letters, takes=letters, usage=_SOFTLIMIT_USAGE)
    wanted = [(what, _bound(what, text)) for letter, text in options for what in _LIMITS[letter]]
    if not options.rest:
        raise Ends(PERMANENT, _SOFTLIMIT_USAGE)
    command = [_found(options.rest[0]), *options.rest[1:]]
    environ = dict(os.environb)
    # Last of all: with little memory Python itself does nothing more.
    try:
        for what, bound in wanted:
            resource.setrlimit(what, (bound, resource.getrlimit(what)[1]))
        os.execve(command[0], [options.rest[0], *command[1:]], environ)
    except (OSError, ValueError, MemoryError):
        os.write(2, b"softlimit: fatal: unable to run under these limits\n")
        os._exit(TEMPORARY)


def _bound(what: int, text: bytes) -> int:
    hard = resource.getrlimit(what)[1]
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    if text.startswith(b"="):
        return hard
    return int(digits or 0) if hard == resource.RLIM_INFINITY else min(int(digits or 0), hard)


def _found(name: bytes) -> bytes:
    """The program's path, by PATH."""
    if b"/" in name:
        return name
    places = (os.path.join(place or b".", name) for place in os.environb.get(b"PATH", os.defpath.encode()).split(b":"))
    return next((path for path in places if os.access(path, os.X_OK) and not os.path.isdir(path)), name)


def setuidgid(arguments: Sequence[bytes]) -> int:
    """Take an account's uid and gid, without its other groups."""
    account = _account(b"setuidgid", arguments)
    try:
        os.setgroups([account.pw_gid])
        os.setgid(account.pw_gid)
    except OSError as error:
        raise of_system(b"setuidgid", b"unable to setgid", error) from error
    try:
        os.setuid(account.pw_uid)
    except OSError as error:
        raise of_system(b"setuidgid", b"unable to setuid", error) from error
    raise replace(b"setuidgid", arguments[1:])


def envuidgid(arguments: Sequence[bytes]) -> int:
    """UID and GID for a program that takes them itself."""
    account = _account(b"envuidgid", arguments)
    numbers = {b"UID": b"%d" % account.pw_uid, b"GID": b"%d" % account.pw_gid}
    raise replace(b"envuidgid", arguments[1:], {**os.environb, **numbers})


def _account(program: bytes, arguments: Sequence[bytes]) -> pwd.struct_passwd:
    if len(arguments) < 2:
        raise Ends(PERMANENT, program + b": usage: " + program + b" account child")
    try:
        return pwd.getpwnam(os.fsdecode(arguments[0]))
    except KeyError:
        raise fatal(program, b"unknown account " + arguments[0]) from None


def envdir(arguments: Sequence[bytes]) -> int:
    """Variables from a directory's files: the first line of each; an empty file takes its variable away."""
    if len(arguments) < 2:
        raise Ends(PERMANENT, b"envdir: usage: envdir dir child")
    environ = dict(os.environb)
    try:
        names = [name for name in os.listdir(arguments[0]) if not name.startswith(b".")]
    except OSError as error:
        raise of_system(b"envdir", b"unable to switch to directory " + arguments[0], error) from error
    for name in names:
        path = os.path.join(arguments[0], name)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise of_system(b"envdir", b"unable to read " + path, error) from error
        environ.pop(name, None)
        if content:
            # NUL stands for a newline (envdir(8)).
            environ[name] = content.partition(b"\n")[0].rstrip(b" \t").replace(b"\0", b"\n")
    raise replace(b"envdir", arguments[1:], environ)


_SETLOCK_USAGE = b"setlock: usage: setlock [ -nNxX ] file program [ arg ... ]"


def setlock(arguments: Sequence[bytes]) -> int:
    """Hold a file's lock; -n: do not wait for it, -x: exit 0 where it cannot be had."""
    wait, silent = True, False
    options = Options(b"setlock", arguments, b"nNxX", usage=_SETLOCK_USAGE)
    for letter, _ in options:
        if letter in b"nN":
            wait = letter == b"N"
        else:
            silent = letter == b"x"
    if len(options.rest) < 2:
        raise Ends(PERMANENT, _SETLOCK_USAGE)
    path, *command = options.rest
    done = b"open"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_CREAT, 0o600)
        done = b"lock"
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if silent:
            return 0
        raise of_system(b"setlock", b"unable to " + done + b" " + path, error) from error
    os.set_inheritable(descriptor, True)
    raise replace(b"setlock", command)


def pgrphack(arguments: Sequence[bytes]) -> int:
    """Be a process group, and a session, of its own."""
    if not arguments:
        raise Ends(PERMANENT, b"pgrphack: usage: pgrphack child")
    try:
        os.setsid()
    except OSError:
        pass  # the leader of a group already
    raise replace(b"pgrphack", arguments)


PROGRAMS: dict[str, Program] = {
    "envdir": envdir,
    "envuidgid": envuidgid,
    "pgrphack": pgrphack,
    "setlock": setlock,
    "setuidgid": setuidgid,
    "softlimit": softlimit,
}
