"""Carrying out the instructions of one .qmail, step by step. Blocking, as the user. See qmail-local(8).

A `Run` does all file deliveries itself and stops at each program, which its caller runs elsewhere; forwards are
collected, for one submission at the end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from qmail.accounts.dot_qmail import is_program_without_bar
from qmail.message.address import Address
from services.delivery.local import replies
from services.delivery.local.home import DotQmail, enter_home, find_dot_qmail, find_new_sender
from services.delivery.local.job import Job, delivered_to_line, environment, from_line, return_path_line
from services.delivery.local.maildir_writer import MaildirError, MaildirFull, MaildirMissing, store_steps
from services.delivery.local.mbox import MailboxLocked, append
from services.delivery.local.message import Message
from services.delivery.local.plan import Act, Instruction, instructions, is_looping
from services.delivery.local.quota import QuotaOf
from services.delivery.local.refusal import permanent, temporary
from services.delivery.local.steps import Shared, Steps


class Run:
    """One delivery to one address.

    name_for: the Maildir name, given the number of copies that this run has put into the same Maildir before.
    now: seconds since 1970. repeated: an earlier attempt may have delivered. `close` must be called at the end; it
    also closes the message.
    """

    def __init__(
        self, job: Job, message: Message, name_for: Callable[[int], bytes], now: float, *, repeated: bool = False
    ) -> None:
        self.job = job
        self.forwards: list[Address] = []
        self.maildirs: list[bytes] = []  #: as named in .qmail, in the order of delivery
        self.new_sender = job.sender
        self._home = -1  # while `begin` runs its group's, which closes it; later our own
        self._owns_home = False
        self._message = message
        self._name_for = name_for
        self._now = now
        self._repeated = repeated
        self._delivered_to = delivered_to_line(job)
        self._files = self._programs = 0
        self._pending: Instruction | None = None
        self._found: DotQmail | None = None
        self._steps: Iterator[Instruction] = iter(())

    def begin(self) -> Steps[bytes | None]:
        """Check home and loop, read .qmail, and advance. Raises as `advance` does."""
        job = self.job
        self._home = yield Shared((b"home", job.user, job.home), partial(enter_home, job.home), os.close)
        if is_looping(self._message.header(), self._delivered_to):
            raise permanent(replies.LOOPING)
        address = (b".qmail", job.user, job.home, job.dash, job.ext, job.default_delivery)
        found: DotQmail = yield Shared(address, partial(find_dot_qmail, self._home, job), _nothing_to_end)
        self._found = found
        self._steps = instructions(found.content, forward_only=found.executable)
        try:
            command = yield from self.advance()
        except MailboxLocked:
            self._keep_home()
            raise
        if command is not None:
            self._keep_home()
        return command

    def advance(self) -> Steps[bytes | None]:
        """Do everything up to the next program; its command, or None at the end.

        Raises Refusal, and MailboxLocked: then call again, and it goes on with that mbox.
        """
        while (step := self._pending or next(self._steps, None)) is not None:
            self._pending = step
            command = yield from self._do(step)
            self._pending = None
            if command is not None:
                return command
        if self.forwards:
            self.new_sender = find_new_sender(self._home, self.job)
        self._leave()
        return None

    def stop(self) -> None:
        """Leave the rest of the .qmail undone (exit code 99); forwards seen so far still go."""
        self._steps = iter(())

    def program(self) -> tuple[dict[bytes, bytes], int]:
        """For the program at which the run stands: its environment, and a descriptor of the message to close.

        Raises Refusal.
        """
        assert self._found is not None
        sender = find_new_sender(self._home, self.job)
        try:
            message = self._message.open()
        except OSError as error:
            raise temporary(replies.MESSAGE_UNREADABLE) from error
        return environment(self.job, self._now, sender, self._found.default), message

    @property
    def mistaken(self) -> bytes | None:
        """The line at which the run stopped, where it is an mbox that looks like a program."""
        step = self._pending
        return step.text if step and step.act is Act.MBOX and is_program_without_bar(step.text) else None

    def note(self) -> bytes:
        """`did F+W+P`."""
        return replies.did(self._files, len(self.forwards), self._programs)

    def close(self) -> None:
        """Give up the home and the message."""
        self._leave()
        self._message.close()

    def _keep_home(self) -> None:
        """The run goes on when its group has ended."""
        self._home = os.dup(self._home)
        self._owns_home = True

    def _leave(self) -> None:
        # Where the last step is done, in its thread: the loop has better to do than to close files.
        home, self._home = self._home, -1
        if self._owns_home:
            self._owns_home = False
            os.close(home)

    def _do(self, step: Instruction) -> Steps[bytes | None]:
        if step.act is Act.PROGRAM:
            self._programs += 1
            return step.argument
        if step.act is Act.FORWARD:
            self.forwards.append(Address(step.argument))
        elif step.act is Act.MAILDIR:
            yield from self._maildir(step.argument)
            self.maildirs.append(step.argument)
            self._files += 1
        else:
            self._mbox(step.argument)
            self._files += 1
        return None

    def _mbox(self, path: bytes) -> None:
        head = from_line(self.job, self._now) + return_path_line(self.job) + self._delivered_to
        append(self._home, path, head, self._message.pieces())

    def _maildir(self, path: bytes) -> Steps[None]:
        try:
            yield from self._store(path)
        except MaildirMissing as error:
            raise temporary(replies.NO_MAILDIR) from error
        except MaildirFull as error:
            quota = error.errno == errno.EDQUOT
            raise temporary(replies.MAILDIR_OVER_QUOTA if quota else replies.MAILDIR_DISK_FULL) from error
        except MaildirError as error:
            raise temporary(replies.MAILDIR_FAILED) from error

    def _store(self, path: bytes) -> Steps[None]:
        name = self._name_for(self._copies(path))
        below = path.rstrip(b"/") + b"/"
        # What is in `new` already link(2) finds by itself.
        if self._repeated and self._was_read(below, name):
            return
        quota = QuotaOf(self._home, below)
        if quota.limited:
            quota.admit(sum(map(len, self._pieces())))
        if (yield from store_steps(self._home, name, self._pieces(), b"new/" + name, None, below, self.job.home)):
            quota.stored()

    def _was_read(self, maildir: bytes, name: bytes) -> bool:
        """Whether a reader has moved the copy of an earlier attempt to `cur`."""
        try:
            fd = os.open(maildir + b"cur", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._home)
        except OSError:
            return False  # whether the Maildir will do is seen when the message is stored
        try:
            return any(os.fsencode(entry).partition(b":")[0] == name for entry in os.listdir(fd))
        finally:
            os.close(fd)

    def _copies(self, path: bytes) -> int:
        """How many copies this run put into this directory before, whatever its name was then."""
        if not self.maildirs:
            return 0
        try:
            here = os.stat(path, dir_fd=self._home)
            return sum(os.path.samestat(here, os.stat(p, dir_fd=self._home)) for p in self.maildirs)
        except OSError as error:
            raise MaildirMissing(error.errno, "cannot enter the Maildir") from error

    def _pieces(self) -> Iterable[bytes]:
        head = return_path_line(self.job) + self._delivered_to
        pieces = self._message.pieces()
        return (head, *pieces) if isinstance(pieces, tuple) else _after(head, pieces)


def _after(head: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def _nothing_to_end(_: object) -> None:
    return None
