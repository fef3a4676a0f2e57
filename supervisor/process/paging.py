"""Hands the memory of stopped processes over to the swap of this host, and reads back what they are likely to need.

`process_madvise` with `MADV_PAGEOUT` and `MADV_WILLNEED`: Linux 5.10 or later; for other processes than this one,
CAP_SYS_NICE. Only what a process has written is handed over, parts of its program included. What it shares with others,
as the code of the CLI, is in use by those, and the kernel drops it by itself when it needs room.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import re
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

PIECE = 16 * 1024**2
"""Bytes handed over at once, which take about 20 ms: one that is woken meanwhile is left alone after that."""

_PROCESS_MADVISE = 440
"""Number of the system call, the same on x86-64 and on arm64."""
_WILL_NEED, _PAGE_OUT = 3, 21
_AT_MOST = 1024
"""Ranges that one call takes."""

_LOOK = 256 * 1024**2
"""Bytes of a process whose pages are looked up at once."""
_ENTRY = 8
"""Bytes that say of one page where it is. In the highest of them: bit 7, in memory; bit 5, as a page of a file."""
_RESIDENT = re.compile(rb"[\x80-\x9f\xc0-\xdf](?:[\x00-\xff]{0,3}[\x80-\x9f\xc0-\xdf])*")
"""Pages in a row that are in memory and that the process has written, few others between them: that makes half as many
ranges, and a sixth more to read back."""


class Pages(NamedTuple):
    """Memory of one process, as the kernel takes it."""

    ranges: array[int]
    """Start and bytes of each, one after the other."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self.ranges[1::2])

    def pieces(self, most: int = PIECE) -> Iterator[Pages]:
        """Parts for one call each, of `most` bytes."""
        part, size = array("Q"), 0
        for start, length in self.split(most):
            if part and (size + length > most or len(part) >= 2 * _AT_MOST):
                yield Pages(part)
                part, size = array("Q"), 0
            part.extend((start, length))
            size += length
        if part:
            yield Pages(part)

    def split(self, most: int) -> Iterator[tuple[int, int]]:
        """Start and bytes of ranges that are no longer than `most`."""
        for start, length in zip(self.ranges[::2], self.ranges[1::2], strict=True):
            for place in range(start, start + length, most):
                yield place, min(most, start + length - place)


def find_own(pid: int) -> Pages:
    """What a process may have written to; nothing when that cannot be told. Reading where it lies touches none of
    it. Blocking."""
    found = array("Q")
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            span, rights = line.split(maxsplit=2)[:2]
            if rights[1] == "w" and rights[3] == "p":
                start, end = (int(address, 16) for address in span.split("-"))
                found.extend((start, end - start))
    return Pages(found)


def find_resident(pid: int, own: Pages) -> Pages:
    """What of its own a stopped process has written and has in memory; all of it where the kernel does not tell.
    Blocking: about 10 ms."""
    found = array("Q")
    try:
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
            for start, length in own.split(_LOOK):
                found.extend(_find_in(pagemap, start, length))
    except OSError:
        return own
    return Pages(found)


def page_out(pid: int, pages: Pages, is_over: Callable[[], bool]) -> bool:
    """False when this process may not do that. What ends meanwhile, or is over, is no failure. Blocking."""
    try:
        process = open_process(pid)
    except OSError as error:
        return error.errno == errno.ESRCH
    try:
        return all(is_over() or _advise_all(process, piece, _PAGE_OUT) for piece in pages.pieces())
    finally:
        os.close(process)


def read_back(process: int, pages: Pages) -> None:
    """Has the kernel read it from swap in one go. `process` is its descriptor; at most a piece. Blocking."""
    _advise_all(process, pages, _WILL_NEED)


def open_process(pid: int) -> int:
    """A descriptor that stays that of this process. Raises `OSError`."""
    if not (sys.platform.startswith("linux") and hasattr(os, "pidfd_open") and sys.maxsize > 2**32):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return os.pidfd_open(pid)


def may_page_out() -> bool:
    """Whether `page_out` is allowed here; asks the kernel, about a process of its own. Blocking: milliseconds."""
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as child:
            own = find_own(child.pid)
            return bool(own.ranges) and page_out(child.pid, own, is_over=lambda: False)
    except OSError:
        return False


def _find_in(pagemap: IO[bytes], start: int, length: int) -> Iterator[int]:
    """Start and bytes of each row of resident pages, one after the other."""
    page = mmap.PAGESIZE
    pagemap.seek(start // page * _ENTRY)
    highest = pagemap.read(length // page * _ENTRY)[_ENTRY - 1 :: _ENTRY]
    for row in _RESIDENT.finditer(highest):
        yield start + row.start() * page
        yield (row.end() - row.start()) * page


def _advise_all(process: int, pages: Pages, advice: int) -> bool:
    """False when this process may not do that. The kernel ends at a range that it cannot have, as one that is locked or
    is no more: that is left out."""
    ranges = pages.ranges
    while ranges:
        done, failure = _advise(process, ranges, advice)
        if failure in (errno.EPERM, errno.ENOSYS):
            return False
        if failure == errno.ESRCH:
            return True
        while ranges and done >= ranges[1]:
            done -= ranges[1]
            ranges = ranges[2:]
        ranges = ranges[2:]
    return True


def _advise(process: int, ranges: array[int], advice: int) -> tuple[int, int]:
    """Returns the bytes of the ranges that were done, and 0 or the number of the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    address, count = ranges.buffer_info()
    done = libc.syscall(
        ctypes.c_long(_PROCESS_MADVISE),
        ctypes.c_int(process),
        ctypes.c_void_p(address),
        ctypes.c_size_t(count // 2),
        ctypes.c_int(advice),
        ctypes.c_uint(0),
    )
    return (done, 0) if done >= 0 else (0, ctypes.get_errno())
