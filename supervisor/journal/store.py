"""The journal: what is recorded, and how it is read back."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import aiosqlite
import anyio

from supervisor.api.entries import Entry
from supervisor.api.keys import SessionKey
from supervisor.clock import Clock
from supervisor.in_thread import run_in_thread
from supervisor.journal import lock, notes, reader, schema
from supervisor.journal.erasure_book import ErasureBook
from supervisor.journal.faults import StateLost
from supervisor.journal.guard import Guard
from supervisor.journal.note_taking import NoteTaker
from supervisor.journal.notes import Note, step
from supervisor.journal.past import Past, PastAction, read_past
from supervisor.journal.question_book import QuestionBook
from supervisor.journal.reader import JournalReader
from supervisor.journal.records import (
    ClientRecord,
    RecoveredState,
    TurnRecord,
    client_to_row,
)
from supervisor.journal.run_book import RunBook
from supervisor.journal.session_book import SessionBook
from supervisor.journal.turn_book import TurnBook
from supervisor.journal.writer import CLOSING_TIME, Writer

FILE = "journal.db"
WORKSPACES = "workspaces"
"""Beside the journal: an instance's folder, and in it one for each session, by the uuid of its first client."""

_TRIAL = 1024**2
"""Bytes that are written to see whether a disk takes them."""
_log = logging.getLogger(__name__)


class Journal:
    """Notes are taken at once and in order, and written by a task of its own. What is noted without an await in between
    is written in one transaction. Its parts, `turns` and so on, note what concerns them."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, reading: JournalReader, guard: Guard) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection
        self._reader = reading
        self._guard = guard
        self._writer = Writer(connection, path, guard)
        self._notes = NoteTaker(path, self._writer)
        self._last_action = reading.last_number("actions")
        self.turns = TurnBook(self._notes)
        self.sessions = SessionBook(self._notes, reading.last_number("entries"))
        self.questions = QuestionBook(self._notes)
        self.erasures = ErasureBook(self._notes, connection)
        self.runs = RunBook(self._notes, connection)
        """Of hooks and schedules."""

    def __repr__(self) -> str:
        return f"<Journal {self._path}, {len(self._writer.notes)} notes to be written, {self.failing or 'well'}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, clock: Clock, name: str = "bullpen") -> AsyncGenerator[Journal]:
        """Holds the folder, created for its owner only when there is none, until it is left; then writes the rest, for
        `CLOSING_TIME` at most. `name` is what a second opener is told.

        Raises `StateInUse` or `JournalUnusable`; a mistake that is made by a call which is told of a note cancels the
        body and is raised at the end, with everything else written.
        """
        path = folder / FILE
        with lock.hold(folder, clock, name) as held:
            prepare = partial(schema.prepare, path, mark=held.mark, is_new=not has_workspaces(folder))
            mark = await run_in_thread(prepare)
            async with _connect(path) as connection:
                with closing(JournalReader(path)) as reading:
                    journal = cls(path, connection, reading, Guard(path, held, mark))
                    async with journal._writing():
                        yield journal

    @asynccontextmanager
    async def _writing(self) -> AsyncGenerator[None]:
        writer = self._writer
        raised: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.run, name="journal")
                try:
                    yield
                finally:
                    writer.close()
        except BaseExceptionGroup as group:
            # One failure is raised as it was, not as a group of one.
            raised = group.exceptions[0] if len(group.exceptions) == 1 else group
        finally:
            while writer.notes:
                # The task was ended from outside, or by a mistake: what was noted since then is still written.
                try:
                    await writer.run()
                    break
                except Exception as error:
                    raised = raised or error
            self._notes.is_closed = True
            if writer.notes:
                cause = writer.failing or "the disk does not answer"
                _log.error("not written to %s (%s): the last %d notes", self._path, cause, len(writer.notes))
        if raised is not None:
            raise raised

    async def verify(self) -> None:
        """Looks whether the files in use are still those that the next run will find; `failing` tells."""
        try:
            await run_in_thread(partial(self._guard.check, wholly=True))
        except StateLost:
            if not self.failing:
                self._writer.probe()

    @property
    def is_closed(self) -> bool:
        """Whether the journal takes no notes any more."""
        return self._notes.is_closed

    def watch_failing(self, listener: Callable[[], object]) -> None:
        """Has that called whenever `failing` has changed."""
        self._writer.on_change = listener

    def watch_lost(self, listener: Callable[[Note, str], object]) -> None:
        """Has that called with every note that can never be written because of a value in it, and with the reason."""
        self._writer.on_lost = listener

    @property
    def failing(self) -> str:
        """Why the last write failed, in words ("the disk is full"); empty when it did not."""
        return self._writer.failing

    @property
    def commits(self) -> int:
        """Transactions written so far."""
        return self._writer.commits

    # Actions, clients

    def note_action(
        self, at: float, verb: str, target: str, detail: str, by: str = "operator", via: str = "screen"
    ) -> None:
        self._last_action += 1
        self._notes.note(notes.ACT, self._last_action, at, verb, target, detail, by, via)

    def note_client(self, record: ClientRecord) -> None:
        """The latest wins, by its mark."""
        self._notes.note(notes.NOTE_CLIENT, *client_to_row(record))

    def forget_client(self, mark: str) -> None:
        """Removes the record of a client, which is found by its mark: ids of clients are used again by every run."""
        self._notes.note(notes.FORGET_CLIENT, mark)

    # Reading

    async def load(self) -> RecoveredState:
        """What an earlier run left behind. For the start: notes of this run are in it only once they are written.

        Raises `JournalUnusable` when the file is damaged.
        """
        return await reader.load(self._connection, self._path)

    def history(self, key: SessionKey, last_turns: int = 200) -> list[Entry]:
        """The entries of the last turns, oldest first, what was noted just now included. Raises `JournalFailed`."""
        return self._reader.history(key, last_turns, self._writer.notes)

    def last_entries(self, key: SessionKey, count: int) -> list[Entry]:
        """The last entries of a conversation, oldest first; bounded, however long it is. Raises `JournalFailed`."""
        return self._reader.last_entries(key, count, self._writer.notes)

    async def past(self, since: float) -> Past:
        """What earlier runs did, for the screen; `since` is the Unix second from which on usage is summed up.

        Raises `JournalUnusable` when the file is damaged.
        """
        return await read_past(self._connection, self._path, since)

    async def find_turn(self, turn_id: str) -> TurnRecord | None:
        """The record of a turn, also when it was noted just now; None without one. Raises `JournalFailed`."""
        return self.look_up_turn(turn_id)

    def look_up_turn(self, turn_id: str) -> TurnRecord | None:
        """As `find_turn`, for callers that cannot await. Raises `JournalFailed`."""
        return self._reader.find_turn(turn_id, self._writer.notes)

    def find_request(self, user: str, request: str) -> str:
        """The id of the turn that this user's request of that name began, once that is durable; else empty. Raises
        `JournalFailed`."""
        return self._reader.find_request(user, request)

    def actions(self, count: int) -> list[PastAction]:
        """The last `count` of operators' actions, oldest first, what was noted just now included. Raises
        `JournalFailed`."""
        return self._reader.actions(count, self._writer.notes)

    async def flush(self) -> None:
        """Returns when everything noted so far is durable, however long that takes."""
        written = anyio.Event()
        self._notes.add(Note((), on_written=written.set))
        await written.wait()

    async def prune(self, before: float) -> None:
        """Removes, when older than that (Unix seconds): actions, settled questions and offers, ended turns, and the
        entries of sessions that are not known any more. The conversations of those that are stay whole. Does nothing
        while the journal cannot be written."""
        done = anyio.Event()
        self._notes.add(
            Note(
                tuple(step(sql, before) for sql in notes.PRUNE),
                on_written=done.set,
                on_refused=lambda _: done.set(),
            )
        )
        await done.wait()


def examine_journal(folder: Path, clock: Clock) -> None:
    """Raises what `Journal.open` would raise there, `StateInUse` or `JournalUnusable`. Blocking; holds the folder
    meanwhile, and leaves no journal where there is none."""
    with lock.hold(folder, clock, "doctor") as held:
        schema.examine(folder / FILE, mark=held.mark, is_new=not has_workspaces(folder))
        try:
            with tempfile.TemporaryFile(dir=folder) as trial:
                trial.write(bytes(_TRIAL))
                trial.flush()
                os.fsync(trial.fileno())
        except OSError as error:
            raise schema.unusable(folder, error) from error


def has_workspaces(folder: Path) -> bool:
    """Whether sessions of an earlier run have left working directories there."""
    return any((folder / WORKSPACES).glob("*/*"))


@asynccontextmanager
async def _connect(path: Path) -> AsyncGenerator[aiosqlite.Connection]:
    try:
        # Cut off halfway, its thread would answer later, to a loop that may be closed by then.
        with anyio.CancelScope(shield=True):
            connection = await aiosqlite.connect(path, isolation_level="IMMEDIATE", timeout=schema.BUSY_TIMEOUT)
    except sqlite3.Error as error:
        raise schema.unusable(path, error) from error
    try:
        # Full: 0.18 ms a commit here, and a prompt outlives a power cut as well as a kill.
        await connection.execute("PRAGMA synchronous = FULL")
        # KiB. What is written is hardly ever read again; the default keeps 2 MB of it.
        await connection.execute("PRAGMA cache_size = -512")
        # What is deleted is overwritten, not only left out.
        await connection.execute("PRAGMA secure_delete = ON")
        await connection.execute_fetchall("SELECT id FROM identity")
        yield connection
    finally:
        with anyio.move_on_after(CLOSING_TIME, shield=True):
            await connection.close()
