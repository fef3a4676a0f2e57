"""Hands the memory of stopped processes over to the swap of this host: `process_madvise` with `MADV_PAGEOUT`.

Only what a process has written, parts of its program included. What it shares with others, as the code of the CLI, is
in use by those, and the kernel drops it by itself when it needs room.

Linux 5.10 or later; for other processes than this one, CAP_SYS_NICE.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

PIECE = 16 * 1024**2
"""Bytes handed over at once, which take about 20 ms: one that is woken meanwhile is left alone after that."""

_PROCESS_MADVISE = 440
"""Number of the system call, the same on x86-64 and on arm64."""
_PAGE_OUT = 21


class _Range(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


def page_out(pid: int, is_over: Callable[[], bool]) -> bool:
    """False when this process may not do that. What ends meanwhile, or is over, is no failure. Blocking."""
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        return False
    try:
        process = os.pidfd_open(pid)
    except OSError as error:
        return error.errno == errno.ESRCH
    try:
        for start, length in _pieces(pid):
            if is_over():
                return True
            failure = _advise(process, start, length)
            if failure in (errno.EPERM, errno.ENOSYS):
                return False
            if failure == errno.ESRCH:
                return True
            # Any other: a range that the kernel does not hand over, as one that is locked.
    finally:
        os.close(process)
    return True


def may_page_out() -> bool:
    """Whether `page_out` is allowed here; asks the kernel, about a process of its own. Blocking: milliseconds."""
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as child:
            return page_out(child.pid, is_over=lambda: False)
    except OSError:
        return False


def _pieces(pid: int) -> Iterator[tuple[int, int]]:
    """Start and length of what the process may have written to. Reading where that lies touches none of it."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            span, rights = line.split(maxsplit=2)[:2]
            if rights[1] != "w" or rights[3] != "p":
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            for place in range(start, end, PIECE):
                yield place, min(PIECE, end - place)


def _advise(process: int, start: int, length: int) -> int:
    """Returns 0 or the number of the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    done = libc.syscall(
        ctypes.c_long(_PROCESS_MADVISE),
        ctypes.c_int(process),
        ctypes.byref(_Range(start, length)),
        ctypes.c_size_t(1),
        ctypes.c_int(_PAGE_OUT),
        ctypes.c_uint(0),
    )
    return 0 if done >= 0 else ctypes.get_errno()
