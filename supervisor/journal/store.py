"""The journal: what is recorded, and how it is read back."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

import aiosqlite
import anyio

from supervisor import bounds
from supervisor.api.codec import pack_entry, pack_outcome, pack_question
from supervisor.api.entries import Asked, Entry, Noticed, Replied, ToolCalled, ToolReturned
from supervisor.api.errors import JournalFailed
from supervisor.api.types import (
    Failed,
    FailureKind,
    Outcome,
    Question,
    QuestionOutcome,
    SessionKey,
    Usage,
    outcome_word,
)
from supervisor.clock import Clock
from supervisor.in_thread import run_in_thread
from supervisor.journal import lock, notes, reader, schema
from supervisor.journal.faults import StateLost
from supervisor.journal.guard import Guard
from supervisor.journal.notes import Note, Step, step
from supervisor.journal.past import Past, PastAction, read_past
from supervisor.journal.reader import Reader
from supervisor.journal.records import (
    ClientRecord,
    Loaded,
    OfferOutcome,
    Removal,
    SessionRecord,
    TurnRecord,
    client_to_row,
    removal_to_row,
    session_to_row,
    turn_to_row,
)
from supervisor.journal.run_book import RunBook
from supervisor.journal.writer import CLOSING_TIME, Writer, tell_mistake

FILE = "journal.db"
WORKSPACES = "workspaces"
"""Beside the journal: an instance's folder, and in it one for each session, by the uuid of its first client."""

_TRIAL = 1024**2
"""Bytes that are written to see whether a disk takes them."""
LARGEST = 2**63 - 1
"""The largest whole number that SQLite holds."""

StandIn = Callable[[str], Note]
"""Makes what is written in the place of what cannot be: of the reason."""

_MAY_WAIT = (Asked, Replied, ToolCalled, ToolReturned)
"""Entries that need not be durable at once."""

_log = logging.getLogger(__name__)


class Journal:
    """Notes are taken at once and in order, and written by a task of its own. What is noted without an await in between
    is written in one transaction."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, reading: Reader, guard: Guard) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection
        self._reader = reading
        self._guard = guard
        self._writer = Writer(connection, path, guard)
        self._last_entry = reading.last_number("entries")
        self._last_action = reading.last_number("actions")
        self._is_closed = False
        self.runs = RunBook(connection, self._add, lambda: self._is_closed)
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
                with closing(Reader(path)) as reading:
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
            self._is_closed = True
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
        """Nothing can be noted any more."""
        return self._is_closed

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

    # Turns

    def accept_turn(self, record: TurnRecord, on_settled: Callable[[JournalFailed | None], None]) -> None:
        """`on_settled(None)` when it is durable. With an error it was not written and will not be. The offer that it
        replays is settled with it."""
        steps = [step(notes.ACCEPT_TURN, *turn_to_row(record))]
        if record.replays:
            steps.append(step(notes.SETTLE_OFFER, record.queued_at, OfferOutcome.REPLAYED.value, record.replays))
        self._add(
            Note(
                tuple(steps),
                on_written=lambda: on_settled(None),
                on_refused=on_settled,
                what=lambda: f"prompt {record.id} of {record.key}",
                turn_id=record.id,
                change=lambda turn: turn or record,
            )
        )

    def start_turn(
        self,
        turn_id: str,
        at: float,
        on_durable: Callable[[], None],
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        """Never given up, whatever the disk does: tried until it is durable. `on_lost` is told why when no disk could
        hold it: then the turn must not begin."""
        self._add(
            Note(
                (step(notes.START_TURN, at, turn_id),),
                on_written=on_durable,
                on_lost=on_lost,
                what=lambda: f"the start of turn {turn_id}",
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(started_at=at),
            )
        )

    def put_back_turn(self, turn_id: str, on_durable: Callable[[], None] | None = None) -> None:
        """It had started, and waits again: nothing of it has reached a process."""
        self._add(
            Note(
                (step(notes.START_TURN, None, turn_id),),
                on_written=on_durable,
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(started_at=None),
            )
        )

    def release_turn(self, turn_id: str) -> None:
        """It was held because of a budget, and may run."""
        self._add(
            Note(
                (step(notes.RELEASE_TURN, turn_id),),
                turn_id=turn_id,
                change=lambda turn: turn and turn._replace(is_held=False),
            )
        )

    def end_turn(
        self,
        turn_id: str,
        at: float,
        outcome: Outcome,
        on_durable: Callable[[], None] | None = None,
        on_replaced: Callable[[Outcome], object] | None = None,
        *,
        served: str = "",
    ) -> None:
        """The first outcome of a turn stands; `served` is the provider that it ran with. Never given up: tried until
        it is durable. An outcome that no disk could hold is recorded as a failure of the engine: `on_replaced` is told
        of that one before `on_durable`."""

        def what() -> str:
            return f"the outcome of turn {turn_id}"

        def make(ending: Outcome, stand_in: StandIn | None = None) -> Note:
            def change(turn: TurnRecord | None) -> TurnRecord | None:
                return (
                    turn._replace(ended_at=at, outcome=ending, served=served) if turn and turn.outcome is None else turn
                )

            return Note(
                (
                    step(
                        notes.END_TURN, at, outcome_word(ending), pack_outcome(ending), served, *_spent(ending), turn_id
                    ),
                ),
                on_written=on_durable,
                what=what,
                stand_in=stand_in,
                turn_id=turn_id,
                change=change,
            )

        def stand_in(why: str) -> Note:
            failed = Failed(FailureKind.ENGINE, f"how the turn ended cannot be recorded ({why})")
            if on_replaced is not None:
                on_replaced(failed)
            return make(failed)

        self._add_or(lambda: make(outcome, stand_in), stand_in, what)

    def offer_turn(self, turn_id: str, key: SessionKey, made_at: float, expires_at: float) -> None:
        """Puts an interrupted turn up for a decision."""
        self._note(notes.OFFER, turn_id, *key, made_at, expires_at)

    def settle_offer(self, turn_id: str, at: float, outcome: OfferOutcome) -> None:
        """The first decision stands. A replay settles its offer by itself (`TurnRecord.replays`)."""
        self._note(notes.SETTLE_OFFER, at, outcome.value, turn_id)

    # Sessions and what was said in them

    def keep_session(self, record: SessionRecord) -> None:
        """The latest wins."""
        self._note(notes.KEEP_SESSION, *session_to_row(record))

    def forget_session(
        self, key: SessionKey, removals: Sequence[Removal] = (), on_written: Callable[[], object] | None = None
    ) -> None:
        """With everything that was said in it. How its turns ended stays until it is pruned. `removals` are what it
        leaves on disk: noted in the same transaction, so that a crash does not leave them there."""
        steps = [step(notes.NOTE_REMOVAL, *removal_to_row(removal)) for removal in removals]
        steps += [step(sql, *key) for sql in notes.FORGET_SESSION]
        self._add(Note(tuple(steps), key=key, on_written=on_written))

    def note_removal(self, removal: Removal, on_written: Callable[[], object] | None = None) -> None:
        """The latest wins, by conversation and workspace."""
        self._add(Note((step(notes.NOTE_REMOVAL, *removal_to_row(removal)),), on_written=on_written))

    def settle_removal(self, removal: Removal) -> None:
        """It is gone."""
        self._note(notes.SETTLE_REMOVAL, removal.uuid, removal.workspace)

    def forget_user(
        self, user: str, removals: Sequence[Removal] = (), on_written: Callable[[], object] | None = None
    ) -> None:
        """Everything that names that user, in one transaction, and as `forget_session` what is to be removed from
        disk."""
        steps = [step(notes.NOTE_REMOVAL, *removal_to_row(removal)) for removal in removals]
        steps += [Step(sql, {"user": user}) for sql in notes.FORGET_USER]
        self._add(Note(tuple(steps), on_written=on_written))

    async def count_user(self, user: str) -> dict[str, int]:
        """Rows that name that user, by table."""
        found = {}
        for table, sql in notes.COUNT_USER.items():
            ((found[table],),) = await self._connection.execute_fetchall(sql, {"user": user})
        return found

    async def find_shared(self, user: str) -> tuple[str, ...]:
        """Agents with one shared session that the user has written to."""
        rows = await self._connection.execute_fetchall(notes.SHARED_WITH, {"user": user})
        return tuple(row[0] for row in rows)

    async def scrub(self) -> None:
        """Overwrites what was deleted in the log beside the journal too, as far as that can be done now."""
        with suppress(sqlite3.Error):
            await self._connection._execute(_scrub, self._connection._conn)  # type: ignore[no-untyped-call]

    def add_entry(self, key: SessionKey, entry: Entry) -> None:
        """One that no disk could hold is recorded as a warning that says so. What was said need not be durable at once:
        until its turn's outcome is, that turn counts as interrupted, and what was said in it as not whole."""
        self._last_entry += 1
        number = self._last_entry

        def make(one: Entry, stand_in: StandIn | None = None) -> Note:
            kind, body = pack_entry(one)
            return Note(
                (step(notes.ADD_ENTRY, number, *key, one.at, kind, body),),
                what=lambda: f"an entry ({kind}) of {key}",
                stand_in=stand_in,
                key=key,
                number=number,
                entry=one,
                may_wait=isinstance(one, _MAY_WAIT),
            )

        def stand_in(why: str) -> Note:
            words = f"What was said here cannot be recorded ({why})"
            return make(Noticed(at=bounds.moment(entry.at), text=words, is_warning=True))

        self._add_or(lambda: make(entry, stand_in), stand_in, lambda: f"an entry of {key}")

    # Questions, actions, clients

    def note_question(self, question: Question) -> None:
        body = pack_question(question)
        self._note(notes.ASK, question.id, *question.key, question.turn_id, question.asked_at, body)

    def settle_question(self, question_id: str, at: float, outcome: QuestionOutcome, by: str, answer: str) -> None:
        """The first answer stands."""
        self._note(notes.SETTLE_QUESTION, at, outcome.value, by, answer, question_id)

    def take_back_approval(self, question_id: str, at: float, words: str) -> None:
        """A question that was settled as approved counts as lost."""
        self._note(notes.TAKE_BACK_APPROVAL, at, words, question_id)

    def note_action(
        self, at: float, verb: str, target: str, detail: str, by: str = "operator", via: str = "screen"
    ) -> None:
        self._last_action += 1
        self._note(notes.ACT, self._last_action, at, verb, target, detail, by, via)

    def note_client(self, record: ClientRecord) -> None:
        """The latest wins, by its mark."""
        self._note(notes.NOTE_CLIENT, *client_to_row(record))

    def forget_client(self, mark: str) -> None:
        """By its mark: ids of clients begin anew with every run."""
        self._note(notes.FORGET_CLIENT, mark)

    # Reading

    async def load(self) -> Loaded:
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
        """What was noted just now is included. Raises `JournalFailed`."""
        return self.look_up_turn(turn_id)

    def look_up_turn(self, turn_id: str) -> TurnRecord | None:
        """The same where nothing can be awaited. Raises `JournalFailed`."""
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
        self._add(Note((), on_written=written.set))
        await written.wait()

    async def prune(self, before: float) -> None:
        """Removes, when older than that (Unix seconds): actions, settled questions and offers, ended turns, and the
        entries of sessions that are not known any more. The conversations of those that are stay whole. Does nothing
        while the journal cannot be written."""
        done = anyio.Event()
        self._add(
            Note(
                tuple(step(sql, before) for sql in notes.PRUNE),
                on_written=done.set,
                on_refused=lambda _: done.set(),
            )
        )
        await done.wait()

    def _note(self, sql: str, *row: object) -> None:
        self._add(Note((step(sql, *row),), what=partial(_describe, sql)))

    def _add_or(self, make: Callable[[], Note], stand_in: StandIn, what: Callable[[], str]) -> None:
        """Adds what `make` makes, or what stands in for it: when it cannot be made, or cannot be written, which the
        note that is made says itself (`Note.stand_in`)."""
        try:
            note = make()
        except Exception as error:
            why = tell_mistake(error)
            note = stand_in(why)
            _log.error("%s cannot be recorded: %s", what(), why)
            self._writer.on_lost(note, why)
        self._add(note)

    def _add(self, note: Note) -> None:
        if self._is_closed:
            raise AssertionError(f"{self!r} is closed")
        self._writer.add(note)


def _spent(outcome: Outcome) -> tuple[float, int]:
    """Dollars and tokens. An outcome is recorded whatever its counts are."""
    usage = getattr(outcome, "usage", Usage())
    return usage.cost_usd, min(usage.tokens, LARGEST)


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


def _scrub(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def has_workspaces(folder: Path) -> bool:
    """Whether sessions of an earlier run have left working directories there."""
    return any((folder / WORKSPACES).glob("*/*"))


def _describe(sql: str) -> str:
    """`UPDATE questions SET …`: what a note without words of its own was about."""
    return " ".join(sql.split()[:3])


@asynccontextmanager
async def _connect(path: Path) -> AsyncGenerator[aiosqlite.Connection]:
    try:
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
