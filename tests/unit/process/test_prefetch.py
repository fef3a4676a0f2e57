"""What is read back from swap after a waking: all of it, once, from the front; and nothing stays open."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from array import array

import pytest

from supervisor.process import prefetch
from supervisor.process.paging import Pages
from supervisor.process.prefetch import PIECE, Prefetch
from tests.waiting import until_sync

GONE = 2
"""A process that cannot be opened any more."""


class Memory:
    """Of processes that do not exist: what is read of it, and whether their descriptors were open just then."""

    def __init__(self) -> None:
        self.read: list[int] = []
        """Numbers of the pieces."""
        self.opened: list[int] = []
        self.were_open: list[bool] = []

    def open_process(self, pid: int) -> int:
        if pid == GONE:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        self.opened.append(os.open(os.devnull, os.O_RDONLY))
        return self.opened[-1]

    def read_back(self, process: int, pages: Pages) -> None:
        self.were_open.append(is_open(process))
        self.read.append(pages.ranges[0] // PIECE)

    @property
    def is_closed(self) -> bool:
        return not any(map(is_open, self.opened))


def is_open(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))
    return False


def pieces(count: int) -> Pages:
    return Pages(array("Q", [0, count * PIECE]))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(prefetch, "open_process", memory.open_process)
    monkeypatch.setattr(prefetch, "read_back", memory.read_back)
    return memory


def test_all_of_it_is_read_once_and_from_the_front(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what could be opened."""
    monkeypatch.setattr(prefetch, "READERS", 1)
    Prefetch({1: pieces(5), GONE: pieces(1)}).begin()
    until_sync(lambda: memory.is_closed)
    assert memory.read == [0, 1, 2, 3, 4]
    assert len(memory.opened) == 1


def test_no_more_is_read_of_what_sleeps_again(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "READERS", 1)
    reading = Prefetch({1: pieces(5)})

    def read_back(process: int, pages: Pages) -> None:
        memory.read_back(process, pages)
        if len(memory.read) == 2:
            reading.end()

    monkeypatch.setattr(prefetch, "read_back", read_back)
    reading.begin()
    until_sync(lambda: memory.is_closed)
    assert memory.read == [0, 1]


def test_nothing_is_closed_while_one_of_its_threads_still_reads(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_come = threading.Event()
    first: list[threading.Thread] = []

    def read_back(process: int, pages: Pages) -> None:
        if threading.current_thread().name == "prefetch":
            first.append(threading.current_thread())
            has_come.wait(20)
        else:
            until_sync(lambda: first)
            has_come.set()
            first[0].join(0.1)  # it has nothing left to read, and waits for this one
        memory.read_back(process, pages)

    monkeypatch.setattr(prefetch, "read_back", read_back)
    Prefetch({1: pieces(4)}).begin()
    until_sync(lambda: memory.is_closed)
    assert (sorted(memory.read), set(memory.were_open)) == ([0, 1, 2, 3], {True})


def test_where_no_thread_is_to_be_had_nothing_stays_open(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    Prefetch({1: pieces(2)}).begin()
    assert memory.opened
    assert memory.is_closed
    assert memory.read == []
