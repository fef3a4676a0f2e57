"""Reads back from swap what a tree that was woken is likely to need, while it already runs.

Page by page, as its processes ask for them, is slow: most of the time goes to the asking, and more so where pages are
compressed in memory. What a process had in memory when it was put to sleep is what it needed since it woke the last
time, and about what it will need: pages that are read back and not used do not count as in memory the next time.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping

from supervisor.process.paging import Pages, open_process, read_back

PIECE = 4 * 1024**2
"""Bytes that are read at once."""
READERS = 2
"""Threads that read for one tree. One is about as fast as a process alone, which then asks for half of its pages
itself; more gain nothing."""


class Prefetch:
    """Reads a waking client's pages back from swap ahead of their use. One for each waking."""

    def __init__(self, pages: Mapping[int, Pages]) -> None:
        """By process, which has not been continued yet: until then each id is surely that of the one that was put to
        sleep."""
        self._is_over = False
        self._opened: dict[int, Pages] = {}
        """By descriptor."""
        for pid, wanted in pages.items():
            with contextlib.suppress(OSError):
                self._opened[open_process(pid)] = wanted

    def begin(self) -> None:
        """Takes microseconds. It ends by itself."""
        try:
            threading.Thread(target=self._run, name="prefetch", daemon=True).start()
        except RuntimeError:  # no thread is to be had: its pages come one by one
            self._close()

    def end(self) -> None:
        """Stops the reading, because the client is put to sleep again. A read that has begun is finished."""
        self._is_over = True

    def _run(self) -> None:
        pieces = [(process, piece) for process, pages in self._opened.items() for piece in pages.pieces(PIECE)]
        pieces.reverse()
        others = [threading.Thread(target=self._read, args=(pieces,), daemon=True) for _ in range(READERS - 1)]
        try:
            with contextlib.suppress(RuntimeError):
                for other in others:
                    other.start()
            self._read(pieces)
        finally:
            for other in others:
                if other.ident is not None:
                    other.join()
            self._close()

    def _read(self, pieces: list[tuple[int, Pages]]) -> None:
        """Takes them from the end of the list; several threads may."""
        with contextlib.suppress(IndexError):
            while not self._is_over:
                read_back(*pieces.pop())

    def _close(self) -> None:
        for process in self._opened:
            os.close(process)
