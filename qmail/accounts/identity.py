"""Acting as an account: file access in worker threads that carry a user's file-system identity.

A thread sets its own fsuid, fsgid and groups by raw system calls, so that only this thread changes (the C
library's setgroups would change every thread of the process). See setfsuid(2), setfsgid(2), setgroups(2),
capabilities(7).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Final, Protocol, TypeAlias, TypeVar, TypeVarTuple, cast

from qmail.control.settings import SettingsError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: System call numbers of setgroups, setfsuid and setfsgid (64 bit; other machines are refused).
_CALLS: Final = {"x86_64": (116, 122, 123), "aarch64": (159, 151, 152)}
#: Capabilities that open other people's files: DAC_OVERRIDE (1), DAC_READ_SEARCH (2), FOWNER (3).
_FILE_CAPABILITIES: Final = 0b1110
_DEFAULT_THREADS: Final = 8
#: How long the end of a pool waits for its threads.
_CLOSE_SECONDS: Final = 10.0


class IdentityError(Exception):
    """The account's identity cannot be taken on; nothing was done in its name. A temporary failure."""


class Identity(Protocol):
    """What is needed to act as somebody; `qmail.accounts.assign.Account` is one."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


def _has_identity_per_thread() -> bool:
    return platform.machine() in _CALLS and struct.calcsize("P") == 8


class FileIdentity:
    """The file-system identity of the calling thread; one object per thread. Not on every machine."""

    def __init__(self) -> None:
        self._setgroups, self._setfsuid, self._setfsgid = _CALLS[platform.machine()]
        # PyDLL keeps the interpreter lock: the calls take less time than giving it up would.
        self._syscall = ctypes.PyDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._current: tuple[int, int] | None = None

    def become(self, account: Identity) -> None:
        """Take on uid, gid and the one group of the account for file access of this thread.

        Raises IdentityError for uid 0 and whenever the kernel did not do exactly what was asked.
        """
        wanted = (account.uid, account.gid)
        if wanted == self._current:
            return
        if account.uid <= 0 or account.gid <= 0:
            raise IdentityError("not allowed to act as root")
        checked = self._current is not None
        self._current = None
        self._set_groups(account.gid)
        self._set(self._setfsgid, account.gid, "group")
        self._set(self._setfsuid, account.uid, "user")
        if not checked:
            _refuse_file_capabilities()
        self._current = wanted

    def _set_groups(self, gid: int) -> None:
        groups = (ctypes.c_uint32 * 1)(gid)
        if self._syscall(ctypes.c_long(self._setgroups), ctypes.c_long(1), groups) != 0:
            raise IdentityError(f"setgroups: {os.strerror(ctypes.get_errno())}")

    def _set(self, number: int, value: int, what: str) -> None:
        # Neither call reports failure; asking for -1 changes nothing and returns the value in force.
        self._syscall(ctypes.c_long(number), ctypes.c_long(value))
        if self._syscall(ctypes.c_long(number), ctypes.c_long(-1)) != value:
            raise IdentityError(f"cannot act as {what} {value}")


def _refuse_file_capabilities() -> None:
    """A role that kept such a capability without being uid 0 would read every home under every fsuid."""
    # Bytes: a codec would be imported as the user, who may not read the interpreter's files.
    with open("/proc/thread-self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapEff:"):
                if int(line.split()[1], 16) & _FILE_CAPABILITIES:
                    raise IdentityError("a file capability is still in force")
                return
    raise IdentityError("cannot see the capabilities in force")


Become: TypeAlias = Callable[[Identity], None]


def _stay(account: Identity) -> None:
    """IDENTITY=single: everything is done as the caller."""


def _nothing(become: Become) -> None:
    """That it was called is the answer."""


class Ended(asyncio.Future[object]):
    """The end of a call. It cannot be cancelled: whoever is cancelled while waiting hears of it when fn has ended,
    so that nobody closes a descriptor that a thread is still using.
    """

    def cancel(self, _msg: object = None) -> bool:
        return False


class _Job:
    """One call on its way through the pool."""

    __slots__ = ("account", "args", "error", "fn", "future", "result")

    def __init__(
        self,
        account: Identity | None,
        fn: Callable[..., object],
        args: tuple[object, ...],
        future: Ended,
    ) -> None:
        self.account = account
        self.fn = fn
        self.args = args
        self.future = future
        self.result: object = None
        self.error: BaseException | None = None


class ActingPool:
    """A fixed number of threads that do blocking file work as accounts, for one event loop.

    per_user: as the account given (needs SETUID and SETGID); else plainly as the caller, who must not be
    uid 0. A thread keeps the last account's identity until it is given another's job, so runs of work for one
    account switch once. Raises SettingsError if the machine or the caller does not fit the mode.
    """

    def __init__(self, *, per_user: bool, threads: int = _DEFAULT_THREADS) -> None:
        if not per_user and os.geteuid() == 0:
            raise SettingsError("IDENTITY=single is refused to uid 0")
        if per_user and not _has_identity_per_thread():
            raise SettingsError(f"IDENTITY=per-user: no per-thread identity on {platform.machine()}; expected single")
        self._per_user = per_user
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: deque[_Job] = deque()
        self._waking = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [threading.Thread(target=self._work, name=f"acting-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def run(self, account: Identity, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """fn(*args) in a thread that acts as the account; its result or its exception.

        Inside fn only plain blocking file calls, and no imports (codecs are imports too, and the user may not
        read the interpreter's files). Cancelling the wait takes effect when fn has ended. Raises IdentityError
        (fn was not called) if the identity could not be taken on.
        """
        return cast(T, await self._begin(account, fn, args))

    async def run_as_several(self, fn: Callable[[Become, *Ts], T], *args: *Ts) -> T:
        """fn(become, *args) in a thread, for work of several accounts; else as `run`.

        fn calls `become(account)` before it touches anything of an account's; that raises IdentityError.
        """
        return cast(T, await self._begin(None, fn, args))

    def _begin(self, account: Identity | None, fn: Callable[..., object], args: tuple[object, ...]) -> Ended:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        future = Ended(loop=loop)
        self._jobs.put(_Job(account, fn, args, future))
        return future

    async def answers(self) -> None:
        """Return when a thread has a moment for us: for the role's health. Can be cancelled."""
        await asyncio.shield(self.run_as_several(_nothing))

    def close(self) -> None:
        """Let the threads end after the work already given; one that hangs is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        end = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        become = FileIdentity().become if self._per_user else _stay
        while (job := self._jobs.get()) is not None:
            try:
                if job.account is None:
                    job.result = job.fn(become, *job.args)
                else:
                    become(job.account)
                    job.result = job.fn(*job.args)
            except BaseException as error:
                job.error = error
            self._hand_back(job)
            del job

    def _hand_back(self, job: _Job) -> None:
        # One wake-up of the loop for all that ends before it gets round to looking.
        self._done.append(job)
        if not self._waking:
            self._waking = True
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:
                self._waking = False  # the loop is closed: nobody waits any more

    def _settle(self) -> None:
        self._waking = False
        while self._done:
            job = self._done.popleft()
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def read_identity(environ: Mapping[str, str]) -> bool:
    """IDENTITY: True for `per-user`, the default, which is to act as each account; False for `single`, to act as the
    caller. Raises SettingsError."""
    identity = environ.get("IDENTITY") or "per-user"
    if identity not in ("per-user", "single"):
        raise SettingsError(f"IDENTITY is {identity!r}; expected per-user or single")
    return identity == "per-user"
