"""Makes sure, before every commit, that it goes into files which the next run will find."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from supervisor.journal import faults
from supervisor.journal.faults import Fault, StateLost
from supervisor.journal.lock import Hold
from supervisor.journal.notes import Parameters
from supervisor.journal.schema import APPLICATION, JournalMark

COUNT = "UPDATE identity SET commits = commits + 1"

SETTLED = 2.0
"""Seconds after a change of the folder until it can be told from one more: its time of change is counted in ticks of
the disk's clock, on some in whole seconds, and within one tick another file may stand under a name."""

_Identity = tuple[int, int]
"""Device and inode."""


class Guard:
    """Remembers which files are in use, and compares them with what stands under their names: five looks at the file
    system. One is enough where the folder has not changed since then, because no name in it can come to mean another
    file without that; what is mounted over a file is found by the next whole look.

    Called in the database's thread, and once a second in another.
    """

    def __init__(self, path: Path, held: Hold, mark: JournalMark) -> None:
        """`path` is the journal's, open already. `mark` is what the journal says of itself."""
        self._held = held
        self._mark = mark
        # As texts: of five looks before every commit, paths would take half the time.
        self._folder_name, self._lock_name = str(path.parent), str(held.path)
        self._folder = _identify(self._folder_name)
        self._files = {name: _identify(name) for name in (str(path), f"{path}-wal", f"{path}-shm")}
        self._changed_at: int | None = None
        """When the folder had changed last as all was found in its place, in nanoseconds of the disk's clock; None
        while that cannot be told from a later change (`SETTLED`)."""
        held.note(mark)

    def check(self, *, wholly: bool = False) -> None:
        """Raises `StateLost`. `wholly` looks at each file, also where the folder is as it was."""
        if (fault := self._find_fault(wholly=wholly)) is not None:
            raise StateLost(fault)

    def note_commit(self) -> None:
        self._mark = JournalMark(self._mark.journal, self._mark.commits + 1)
        self._held.note(self._mark)

    def _find_fault(self, *, wholly: bool) -> Fault | None:
        now = time.time_ns()
        try:
            folder = os.stat(self._folder_name)
        except OSError:
            return faults.FOLDER_GONE
        if (folder.st_dev, folder.st_ino) != self._folder:
            return faults.FOLDER_REPLACED
        # Of change, not of modification: that can be set back, as copies do that keep times.
        changed_at = folder.st_ctime_ns
        if not wholly and changed_at == self._changed_at:
            return None
        fault = self._find_fault_in_files()
        is_settled = fault is None and now - changed_at > SETTLED * 1e9
        self._changed_at = changed_at if is_settled else None
        return fault

    def _find_fault_in_files(self) -> Fault | None:
        for file, known in self._files.items():
            if known is None:
                self._files[file] = _identify(file)  # SQLite makes it when it first needs it
            elif (fault := _compare(file, known, faults.FILE_GONE, faults.FILE_REPLACED)) is not None:
                return fault
        held = os.fstat(self._held.descriptor)
        return _compare(self._lock_name, (held.st_dev, held.st_ino), faults.LOCK_GONE, faults.LOCK_GONE)


def _identify(path: str) -> _Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _compare(path: str, known: _Identity | None, gone: Fault, replaced: Fault) -> Fault | None:
    found = _identify(path)
    if found == known:
        return None
    return gone if found is None else replaced


def transact(
    connection: sqlite3.Connection,
    steps: Sequence[tuple[str, Sequence[Parameters]]],
    guard: Guard,
) -> None:
    """Runs all steps in one transaction. Without steps it tries whether anything could be written. Blocking.

    Raises `sqlite3.Error`, or `StateLost` when the database's files are not in their place any more.
    """
    try:
        if connection.in_transaction:
            connection.rollback()  # what an attempt has left that could not even be taken back
        for sql, rows in steps:
            connection.executemany(sql, rows)
        if steps:
            connection.execute(COUNT)
        else:
            # Written although it is the same: there is no other way to learn that the disk takes something again.
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        guard.check()
        connection.commit()
    except Exception:
        with suppress(sqlite3.Error):
            connection.rollback()
        raise
    if steps:
        # First counted, then told: what was acknowledged is missed when an older copy takes this file's place.
        guard.note_commit()
