"""No network for the programs of `|` lines: a seccomp filter that lets socket(2) make Unix sockets alone.

Such a program runs beside the bus and the other roles, as whoever owns the .qmail; what it may need of them goes
through the queue's Unix socket. Source: seccomp(2), and linux/filter.h for the instructions.

Why: docs/decisions/0013-who-reaches-whom.md.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from dataclasses import dataclass
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
# struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits; the low half of the first argument.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# System calls of x86-64's second numbering, x32, begin here.
_X32: Final = 0x40000000
# io_uring makes sockets without socket(2); the number is the same everywhere.
_IO_URING_SETUP: Final = 425


@dataclass(frozen=True, slots=True)
class _Architecture:
    """AUDIT_ARCH_ of linux/audit.h, and the number of socket(2)."""

    audit: int
    socket: int
    has_x32: bool = False


_ARCHITECTURES: Final = {
    "x86_64": _Architecture(0xC000003E, 41, has_x32=True),
    "aarch64": _Architecture(0xC00000B7, 198),
}


class NoSandbox(Exception):
    """This kernel or processor has no such filter; the text says which."""


def _instruction(code: int, operand: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, operand)


def render_filter(machine: str) -> bytes:
    """The program that the kernel runs at each system call. Raises NoSandbox for a processor that is not known here.

    System calls of another architecture, which have other numbers, do not exist for the program."""
    known = _ARCHITECTURES.get(machine)
    if known is None:
        raise NoSandbox(f"no filter is known for {machine}; expected one of {', '.join(_ARCHITECTURES)}")
    missing, denied = _ERRNO | errno.ENOSYS, _ERRNO | errno.EACCES
    x32 = [_instruction(_AT_LEAST, _X32, 5)] if known.has_x32 else []
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_EQUAL, known.audit, 0, 6 + len(x32)),
            _instruction(_LOAD, _NUMBER),
            *x32,
            _instruction(_EQUAL, _IO_URING_SETUP, 4),
            _instruction(_EQUAL, known.socket, 0, 2),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(_EQUAL, socket.AF_UNIX, 0, 2),
            _instruction(_RETURN, _ALLOW),
            _instruction(_RETURN, missing),
            _instruction(_RETURN, denied),
        ]
    )


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def without_network() -> None:
    """From now on this process and all that it starts make Unix sockets alone: EACCES for every other kind.

    Raises NoSandbox, and OSError where the kernel refuses."""
    text = render_filter(platform.machine())
    program = _Program(len(text) // 8, text)
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
