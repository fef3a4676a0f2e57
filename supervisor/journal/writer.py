"""The one task that writes: everything noted since the last time, in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path

import aiosqlite
import anyio

from supervisor.api.errors import NotRecorded
from supervisor.journal import faults
from supervisor.journal.guard import Guard, transact
from supervisor.journal.notes import Note, batches

try:
    import sniffio
except ImportError:  # then anyio looks at the loop itself
    sniffio = None  # type: ignore[assignment]

FIRST_DELAY = 0.1
"""Seconds between a failed attempt and the next; doubles up to `LAST_DELAY`. Prompts do not wait for longer than this
one: a prompt that comes while the journal is failing is tried at the next moment that is `FIRST_DELAY` away."""
LAST_DELAY = 5.0
LINGER = 0.25
"""Seconds that what may wait (`Note.may_wait`) waits for something else to be written with."""
CLOSING_TIME = 5.0
"""Seconds that what is still to be written has once the journal is being closed."""

_log = logging.getLogger(__name__)


class Writer:
    """State: the notes that are not durable yet, in order. Only a commit, a refusal, or a value that no database could
    hold takes one out: that fails the note it stands in, and no other."""

    def __init__(self, connection: aiosqlite.Connection, file: Path, guard: Guard) -> None:
        self.failing = ""
        """Why the last transaction failed, in words; empty when it did not."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when `failing` has changed, after the waiting notes have been told."""
        self.on_lost: Callable[[Note, str], object] = lambda note, why: None
        """Called with every note that can never be written, and why; what stands in for it is written all the same."""
        self.commits = 0
        """Transactions so far."""
        self._connection = connection
        self._file = file
        self._guard = guard
        self._is_probing = False
        """The next attempt is made although there is nothing to write."""
        self._notes: list[Note] = []
        # Of asyncio, as the timer is: every turn waits here twice, and what anyio makes for it takes ten times as long.
        self._noted = asyncio.Event()
        """There is something to write, or to try, now."""
        self._lingering: asyncio.TimerHandle | None = None
        """Says so when what may wait has waited."""
        self._pressed = asyncio.Event()
        """A caller waits for the next attempt."""
        self._delay = FIRST_DELAY
        self._scope: anyio.CancelScope | None = None
        self._closes_at: float | None = None

    @property
    def notes(self) -> Sequence[Note]:
        """Notes that are not durable yet, or not known to be."""
        return self._notes

    def add(self, note: Note) -> None:
        self._notes.append(note)
        if not note.may_wait:
            self._noted.set()
        elif self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(LINGER, self._noted.set)
        if note.on_refused is not None:
            self._pressed.set()

    def probe(self) -> None:
        """Has it tried whether anything could be written: `failing` tells."""
        self._is_probing = True
        self._noted.set()

    def close(self) -> None:
        """Has `run` return when nothing is left to be written, after `CLOSING_TIME` at the latest."""
        self._closes_at = anyio.current_time() + CLOSING_TIME
        if self._scope is not None:
            self._scope.deadline = self._closes_at
        self._noted.set()
        self._pressed.set()

    async def run(self) -> None:
        """Writes until `close`. Not cancelled by anything else, so that a cancelled task can still note how it
        ended. Raises the first mistake that a call makes which is told of a note (`Note.on_written` and its kind)."""
        with anyio.CancelScope(shield=True) as self._scope:
            if self._closes_at is not None:
                self._scope.deadline = self._closes_at
            while self._notes or self._closes_at is None:
                await self._wait()
                await self._attempt()

    async def _wait(self) -> None:
        """Waits until there is something to write; after a failure, until it is time to try again."""
        if self.failing:
            self._pressed.clear()
            await anyio.sleep(FIRST_DELAY)
            if self._closes_at is None and not any(note.on_refused for note in self._notes):
                with anyio.move_on_after(self._delay - FIRST_DELAY):
                    await self._pressed.wait()
            self._delay = min(self._delay * 2, LAST_DELAY)
        elif self._closes_at is None and not self._is_probing and all(note.may_wait for note in self._notes):
            await self._noted.wait()
        self._noted.clear()

    async def _attempt(self) -> None:
        count = len(self._notes)
        mistakes: list[Exception] = []

        def settle() -> None:
            try:
                self._settle(count)
            except Exception as error:
                mistakes.append(error)

        try:
            await self._write(self._notes[:count], settle)
        except Exception as error:
            if (fault := faults.find_fault(error)) is None:
                await self._write_singly(count)
            else:
                self._fail(count, fault)
        if mistakes:
            raise mistakes[0]

    async def _write(self, notes: Sequence[Note], on_durable: Callable[[], object]) -> None:
        """All or nothing. After a failure, and while there is nothing to write, only tries whether it could. Has
        `on_durable` called, which never raises, as soon as the loop hears of the commit."""
        steps = list(batches(notes))
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if not steps and not self.failing and not self._is_probing:
            on_durable()
            return
        self._is_probing = False
        await call_in_thread(
            self._connection, partial(transact, self._connection._conn, steps, self._guard), then=on_durable
        )

    async def _write_singly(self, count: int) -> None:
        """One of them cannot be written and never will be. The others are saved from it, each in a transaction of its
        own. One with a value that no database could hold is refused, replaced by what stands in for it, or lost, and
        told in every case; whatever else it is, is our own mistake, and raised at the end."""
        mistake: Exception | None = None
        for left in range(count, 0, -1):
            error = await self._write_first()
            if error is None:
                continue
            if (fault := faults.find_fault(error)) is not None:
                self._fail(left, fault)
                break
            if not faults.is_about_a_value(error):
                mistake = mistake or error
            self._give_up(self._notes[0], tell_mistake(error))
        if mistake is not None:
            raise mistake

    async def _write_first(self) -> Exception | None:
        """Writes the first note, or what stands in for it. Returns why neither could be written."""
        try:
            await self._write(self._notes[:1], lambda: None)
        except Exception as error:
            note = self._notes[0]
            if note.stand_in is None or not faults.is_about_a_value(error):
                return error
            self._notes[0] = note.stand_in(tell_mistake(error))
            self._tell_lost(note, tell_mistake(error))
            return await self._write_first()
        self._settle(1)
        return None

    def _give_up(self, note: Note, why: str) -> None:
        """The first note is never written."""
        del self._notes[0]
        self._tell_lost(note, why)
        if note.on_refused is not None:
            note.on_refused(NotRecorded(f"the prompt cannot be recorded ({why}): leave out what cannot be stored"))
        elif note.on_lost is not None:
            note.on_lost(why)

    def _tell_lost(self, note: Note, why: str) -> None:
        _log.error("%s cannot be recorded: %s", note.what(), why)
        self.on_lost(note, why)

    def _settle(self, count: int) -> None:
        """The first `count` notes are durable."""
        written = self._notes[:count]
        del self._notes[:count]
        self.commits += any(note.steps for note in written)
        calls = [note.on_written for note in written if note.on_written is not None]
        if self.failing:
            _log.warning("the journal is written again")
            calls.append(self.on_change)
        self.failing, self._delay = "", FIRST_DELAY
        _call_all(calls)

    def _fail(self, count: int, fault: faults.Fault) -> None:
        """None of the first `count` notes was written: who may be refused is, the others wait for the next attempt."""
        message = faults.tell(fault, self._file)
        tried = self._notes[:count]
        self._notes[:count] = [note for note in tried if note.on_refused is None]
        calls: list[Callable[[], object]] = [
            partial(note.on_refused, NotRecorded(message)) for note in tried if note.on_refused is not None
        ]
        if self.failing != fault.words:
            _log.warning(message)
            calls.append(self.on_change)
        self.failing = fault.words
        _call_all(calls)


def _call_all(calls: Sequence[Callable[[], object]]) -> None:
    """Makes every call, and then raises the first mistake any of them made."""
    mistake: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as error:
            mistake = mistake or error
    if mistake is not None:
        raise mistake


def tell_mistake(error: Exception) -> str:
    """One line about a value that cannot be stored."""
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


async def call_in_thread(
    connection: aiosqlite.Connection, work: Callable[[], object], *, then: Callable[[], object]
) -> None:
    """Has the database's thread do `work`, and the loop call `then` as soon as it hears that it is done; not when this
    was cancelled meanwhile. Raises what `work` raises."""
    loop, context = asyncio.get_running_loop(), _loop_context()
    heard: asyncio.Future[None] = loop.create_future()

    def hear(error: BaseException | None) -> None:
        if heard.done():
            return
        if error is not None:
            heard.set_exception(error)
        else:
            then()
            heard.set_result(None)

    def do() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        loop.call_soon_threadsafe(hear, error, context=context)

    # aiosqlite has no public way to make one trip to its thread, and one back, for a whole transaction: with a trip for
    # each statement it takes three times as long, and every prompt waits for two transactions. An answer of its own
    # would come a turn of the loop later.
    connection._tx.put_nowait((None, do))
    await heard


def _loop_context() -> Context:
    """For what the loop calls outside of any task: anyio would not know there which library runs, and what starts a
    client would fail, unless `anyio.run` has started the loop."""
    context = copy_context()
    if sniffio is not None:
        context.run(sniffio.current_async_library_cvar.set, "asyncio")
    return context
