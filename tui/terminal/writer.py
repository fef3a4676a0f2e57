"""A thread that writes to the terminal: a terminal that does not read blocks this thread and nothing else."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

CHUNK = 4_096
"""Bytes of one `write`: after each the thread looks whether it is still wanted."""


class TerminalWriter(Thread):
    """Writes what it is given, in order and whole. `on_drained` and `on_dead` are called from this thread."""

    def __init__(self, fileno: int, *, on_drained: Callable[[], None], on_dead: Callable[[], None]) -> None:
        super().__init__(name="bullpen-output", daemon=True)
        self._fileno = fileno
        self._on_drained, self._on_dead = on_drained, on_dead
        self._changed = Condition()
        self._queue: deque[tuple[bytes, bool]] = deque()
        self._waiting = 0
        self._is_ending = False
        self._is_given_up = False

    @property
    def waiting(self) -> int:
        """Bytes accepted and not yet taken by the terminal."""
        return self._waiting

    def put(self, data: str, *, is_frame: bool) -> None:
        """Accepts a whole unit of output. Never waits; the caller decides when enough is enough."""
        encoded = data.encode("utf-8", "replace")
        with self._changed:
            if self._is_ending or self._is_given_up:
                return
            self._queue.append((encoded, is_frame))
            self._waiting += len(encoded)
            self._changed.notify()

    def forget_frames(self) -> None:
        """Drops the frames that wait, so that the sequence that restores the terminal is written next."""
        with self._changed:
            kept = [item for item in self._queue if not item[1]]
            self._waiting -= sum(len(data) for data, is_frame in self._queue if is_frame)
            self._queue = deque(kept)

    def end(self, seconds: float) -> bool:
        """Writes what is left, for so many seconds at most. Returns whether everything was written."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self.join(seconds)
        self._is_given_up = True
        return not self.is_alive() and self._waiting == 0

    def run(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._is_ending:
                    self._changed.wait()
                if not self._queue:
                    return
                data, _ = self._queue.popleft()
            if not self._write(data):
                self._is_given_up = True
                self._on_dead()
                return
            with self._changed:
                self._waiting -= len(data)
                is_drained = not self._queue
            if is_drained:
                self._on_drained()

    def _write(self, data: bytes) -> bool:
        """False when the terminal is gone, or the rest was dropped."""
        view = memoryview(data)
        while view and not self._is_given_up:
            try:
                view = view[os.write(self._fileno, view[:CHUNK]) :]
            except OSError:
                return False
        return not view
