"""What went wrong, in the words of qmail's error_str.c, which every program of qmail ends its complaints with. Pure."""

from __future__ import annotations

import errno
from typing import Final

_ERRORS: Final = {
    errno.ENOENT: b"file does not exist",
    errno.EACCES: b"access denied",
    errno.EPERM: b"permission denied",
    errno.EISDIR: b"is a directory",
    errno.ENOTDIR: b"not a directory",
    errno.EINVAL: b"invalid argument",
    errno.ENOSPC: b"out of disk space",
    errno.EDQUOT: b"disk quota exceeded",
    errno.EFBIG: b"file too big",
    errno.EROFS: b"read-only file system",
    errno.EIO: b"input/output error",
    errno.ELOOP: b"symbolic link loop",
    errno.ENAMETOOLONG: b"file name too long",
    errno.ENXIO: b"device not configured",
    errno.EAGAIN: b"temporary failure",
    errno.EMFILE: b"process cannot open more files",
    errno.ENFILE: b"system cannot open more files",
    errno.ENOMEM: b"out of memory",
    errno.ESTALE: b"stale NFS file handle",
    errno.ETIMEDOUT: b"timed out",
    errno.EEXIST: b"file already exists",
    errno.ECONNREFUSED: b"connection refused",
    errno.EADDRINUSE: b"address already used",
    errno.ETXTBSY: b"text busy",
    errno.ENOEXEC: b"exec format error",
}


def error_words(error: OSError) -> bytes:
    """What went wrong, in the words of qmail's error_str.c."""
    return _ERRORS.get(error.errno or 0, b"unknown error")
