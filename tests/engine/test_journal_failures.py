"""What the journal cannot write it says, and loses nothing: full disks, internal errors, cancellation, kill -9."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import supervisor
from supervisor.api.entries import Asked, Noticed
from supervisor.api.errors import JournalFailed, JournalUnusable, NotRecorded
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Failed, FailureKind, Outcome
from supervisor.journal import Journal
from supervisor.journal import writer as writing
from tests.engine.journal_stage import KEY, accept, asked, ignore, make_session, make_turn, opened, read
from tests.waiting import until

pytestmark = pytest.mark.anyio


# Failing


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[Journal, str], Any]:
    """`await fail(journal, "PRAGMA …")` on the connection that writes. What waits to try again waits a moment only."""
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.01)

    async def fail(journal: Journal, pragma: str) -> None:
        await journal.flush()
        await journal._connection.execute_fetchall(pragma)

    return fail


READ_ONLY, WRITABLE = "PRAGMA query_only = 1", "PRAGMA query_only = 0"


async def test_a_full_disk_refuses_prompts_in_words_and_keeps_everything_else(
    folder: Path, fail: Callable[[Journal, str], Any]
) -> None:
    calls: list[str] = []
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("before"), ignore)
        await fail(journal, "PRAGMA max_page_count = 1")  # SQLite takes the present size when that is more.
        journal.turns.start("before", 2.0, lambda: calls.append("started"))
        journal.turns.end("before", 3.0, Done("x" * 100_000))
        error = await accept(journal, make_turn("refused", text="y" * 100_000))

        assert isinstance(error, JournalFailed)
        assert str(error) == (
            f"the journal cannot be written (the disk is full): free space in {folder}; "
            "nothing that was accepted is lost"
        )
        assert journal.failing == "the disk is full"
        assert calls == []
        assert await journal.find_turn("refused") is None
        assert read(folder, "SELECT id, outcome FROM turns") == [("before", "")]

        await journal._connection.execute_fetchall("PRAGMA max_page_count = 1000000")
        await until(lambda: calls)
        assert journal.failing == ""
        assert await accept(journal, make_turn("after")) is None
    assert read(folder, "SELECT id, outcome FROM turns") == [("before", "done"), ("after", "")]


async def test_while_it_fails_every_prompt_is_tried_once_and_the_rest_stays_in_order(
    folder: Path, fail: Callable[[Journal, str], Any]
) -> None:
    durable: list[str] = []
    async with opened(folder) as journal:
        for name in "abc":
            journal.turns.accept(make_turn(name), ignore)
        await fail(journal, READ_ONLY)
        for name in "abc":
            journal.turns.start(name, 2.0, lambda name=name: durable.append(name))  # type: ignore[misc]
            journal.sessions.add_entry(KEY, asked(name))
            error = await accept(journal, make_turn(f"no-{name}"))
            assert "read-only" in str(error)
            assert f"make {folder} and what is in it writable" in str(error)
        assert durable == []
        assert journal.history(KEY) == [asked(name) for name in "abc"]

        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)
        assert durable == ["a", "b", "c"]
        assert journal.history(KEY) == [asked(name) for name in "abc"]
    assert read(folder, "SELECT id FROM turns") == [("a",), ("b",), ("c",)]


async def test_a_refused_replay_leaves_its_offer_open(folder: Path, fail: Callable[[Journal, str], Any]) -> None:
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), ignore)
        journal.turns.offer("a", KEY, 2.0, 9.0)
        await fail(journal, READ_ONLY)
        assert await accept(journal, make_turn("a2", replays="a")) is not None
        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)
        assert len((await journal.load()).offers) == 1


async def test_it_learns_by_itself_that_the_disk_is_well_again(
    folder: Path, fail: Callable[[Journal, str], Any]
) -> None:
    """Nothing is left to be written, and nobody sends a prompt."""
    told: list[bool] = []
    async with opened(folder) as journal:
        journal.watch_failing(lambda: told.append(bool(journal.failing)))
        await fail(journal, READ_ONLY)
        assert await accept(journal, make_turn("a")) is not None
        assert journal.failing
        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)
    assert told == [True, False], "once for each change"


async def test_a_lock_of_another_program_is_waited_out(
    folder: Path, fail: Callable[[Journal, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as journal:
        await fail(journal, "PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.sessions.add_entry(KEY, asked("a"))
            assert "another program has locked it" in str(await accept(journal, make_turn("a")))
            other.execute("ROLLBACK")
        await journal.flush()
        assert journal.failing == ""
    assert read(folder, "SELECT count(*) FROM entries") == [(1,)]


async def test_pruning_gives_up_on_a_full_disk(folder: Path, fail: Callable[[Journal, str], Any]) -> None:
    async with opened(folder) as journal:
        await fail(journal, READ_ONLY)
        await journal.prune(1.0)
        await journal._connection.execute_fetchall(WRITABLE)


async def test_a_note_that_can_never_be_written_stops_no_other(folder: Path) -> None:
    """It is told, and those after it are written all the same."""
    settled: list[JournalFailed | None] = []
    lost: list[str] = []
    async with opened(folder) as journal:
        journal.watch_lost(lambda note, why: lost.append(f"{note.what()}: {why}"))
        journal.turns.accept(make_turn("a"), settled.append)
        journal.note_action(None, "no time", "", "")  # type: ignore[arg-type]
        journal.note_action(2**63, "no such time", "", "")
        journal.turns.accept(make_turn("b")._replace(uuid=["no text"]), settled.append)  # type: ignore[arg-type]
        journal.turns.accept(make_turn("c"), settled.append)
        await journal.flush()
        journal.turns.end("a", 2.0, Cancelled("the engine lives"))
    assert settled[0] is settled[2] is None
    assert isinstance(settled[1], NotRecorded)
    assert len(str(settled[1]).splitlines()) == 1
    assert len(lost) == 3
    assert "prompt b of desk/alice/default" in lost[2]
    assert read(folder, "SELECT id, outcome FROM turns") == [("a", "cancelled"), ("c", "")]


async def test_an_outcome_that_no_disk_could_hold_is_recorded_as_a_failure_of_the_engine(folder: Path) -> None:
    """R1: exactly one recorded outcome for each accepted prompt."""
    replaced: list[Outcome] = []
    durable: list[str] = []
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), ignore)
        outcome = Done("fine", seconds=object())  # type: ignore[arg-type]
        journal.turns.end("a", 2.0, outcome, lambda: durable.append("a"), replaced.append)
        journal.turns.accept(make_turn("b"), ignore)
        await journal.flush()
        found = await journal.find_turn("a")
    assert found is not None
    assert isinstance(found.outcome, Failed)
    assert found.outcome.kind is FailureKind.ENGINE
    assert replaced == [found.outcome]
    assert durable == ["a"]


async def test_a_start_that_no_disk_could_hold_is_told_to_its_turn_alone(folder: Path) -> None:
    lost: list[str] = []
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), ignore)
        journal.turns.start("a", 2**63, lambda: lost.append("durable"), lost.append)
        await journal.flush()
    assert len(lost) == 1
    assert lost[0].startswith("OverflowError")


async def test_an_entry_that_no_disk_could_hold_is_recorded_as_a_warning(folder: Path) -> None:
    async with opened(folder) as journal:
        journal.sessions.add_entry(KEY, asked("a"))
        journal.sessions.add_entry(KEY, Noticed(at=2**63, text="x"))
        journal.sessions.add_entry(KEY, Noticed(at=2.0, text=object()))  # type: ignore[arg-type]
        journal.sessions.add_entry(KEY, asked("b"))
        await journal.flush()
        found = journal.history(KEY)
    assert [type(entry) for entry in found] == [Asked, Noticed, Noticed, Asked]
    assert all("cannot be recorded" in entry.text for entry in found if isinstance(entry, Noticed))


async def test_a_mistake_that_is_about_no_value_is_raised_after_the_rest_is_written(folder: Path) -> None:
    settled: list[JournalFailed | None] = []

    async def work() -> None:
        async with opened(folder) as journal:
            journal.turns.accept(make_turn("a"), settled.append)
            journal._notes.note("INSERT INTO no_such_table VALUES (1)")
            await anyio.sleep_forever()

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await work()
    assert settled == [None]


async def test_a_mistake_in_a_call_is_raised_after_the_other_calls_were_made(folder: Path) -> None:
    calls: list[str] = []

    async def work() -> None:
        async with opened(folder) as journal:
            journal.turns.start("a", 1.0, lambda: calls.append(str(1 // 0)))
            journal.turns.start("b", 1.0, lambda: calls.append("b"))
            await anyio.sleep_forever()

    with pytest.raises(ZeroDivisionError):
        await work()
    assert calls == ["b"]


# Closing


async def test_a_failure_of_the_body_comes_out_as_it_is(folder: Path) -> None:
    async def work() -> None:
        async with opened(folder) as journal:
            journal.sessions.add_entry(KEY, asked("a"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await work()
    assert read(folder, "SELECT count(*) FROM entries") == [(1,)]


@pytest.mark.parametrize("whom", ["scope", "task", "every task"])
async def test_cancelled_it_still_writes_what_was_noted(folder: Path, whom: str) -> None:
    """A native cancellation too, and one of the writing task itself."""
    scope = anyio.CancelScope()
    running = anyio.Event()

    async def work() -> None:
        with scope:
            async with opened(folder) as journal:
                journal.turns.accept(make_turn("a"), ignore)
                running.set()
                try:
                    await anyio.sleep_forever()
                finally:
                    journal.turns.end("a", 2.0, Cancelled("stopped"))

    before = asyncio.all_tasks()
    task = asyncio.create_task(work())
    await running.wait()
    if whom == "scope":
        scope.cancel()
    else:
        for one in asyncio.all_tasks() - before if whom == "every task" else {task}:
            one.cancel()
    await asyncio.wait([task])
    assert read(folder, "SELECT id, outcome FROM turns") == [("a", "cancelled")]


async def test_a_disk_that_stays_full_does_not_keep_it_from_closing(
    folder: Path, fail: Callable[[Journal, str], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writing, "CLOSING_TIME", 0.1)
    async with opened(folder) as journal:
        await fail(journal, READ_ONLY)
        journal.sessions.add_entry(KEY, asked("a"))
    assert "(it is read-only): the last 1 notes" in caplog.text


async def test_a_damaged_file_is_told_and_left(folder: Path) -> None:
    async with opened(folder) as journal:
        for number in range(500):
            journal.sessions.keep(make_session(SessionKey("desk", f"u{number}", "s"), note="x" * 500))
    path = folder / "journal.db"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    damaged = path.read_bytes()

    with pytest.raises(JournalUnusable, match="malformed"):
        async with opened(folder) as journal:
            await journal.load()

    assert path.read_bytes() == damaged


# Being killed

_WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
import anyio
from supervisor.clock import Clock
from supervisor.journal import Journal, TurnRecord
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt

KEY = SessionKey("desk", "alice", "default")

async def main():
    async with Journal.open(Path(sys.argv[1]), clock=Clock()) as journal:
        for number in range(1_000_000):
            record = TurnRecord(f"t{number}", "u", KEY, Prompt("desk", "x" * 500), 1.0)
            journal.turns.accept(record, lambda error, number=number: print(number, error, flush=True))
            if number % 7 == 0:
                await anyio.sleep(0)

anyio.run(main)
"""


async def test_what_was_called_durable_survives_kill_9(folder: Path) -> None:
    """R2. And what was written with it is whole."""
    root = Path(supervisor.__file__).parent.parent
    command = [sys.executable, "-c", _WRITE_UNTIL_KILLED, str(folder)]
    async with await anyio.open_process(command, cwd=root, stderr=None) as process:
        assert process.stdout is not None
        told = b""
        with anyio.fail_after(30):
            while told.count(b"\n") < 500:
                told += await process.stdout.receive()
        process.send_signal(signal.SIGKILL)
        async for rest in process.stdout:
            told += rest
        assert await process.wait() == -signal.SIGKILL
    lines = [line for line in told.decode().splitlines(keepends=True) if line.endswith("\n")]
    promised = {f"t{line.split()[0]}" for line in lines}
    assert all(line.endswith(" None\n") for line in lines)

    async with opened(folder) as journal:
        found = [turn.id for turn in (await journal.load()).waiting]

    assert promised <= set(found)
    assert found == [f"t{number}" for number in range(len(found))]


async def test_attempts_come_no_further_apart_than_the_longest_delay(
    folder: Path, fail: Callable[[Journal, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LAST_DELAY", 0.03)
    async with opened(folder) as journal:
        await fail(journal, READ_ONLY)
        journal.sessions.add_entry(KEY, asked("a"))
        await until(lambda: journal._writer._delay == writing.LAST_DELAY)
        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)


async def test_a_second_outage_begins_with_the_short_delay(
    folder: Path,
    fail: Callable[[Journal, str], Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """How long the first one lasted says nothing about the next."""
    monkeypatch.setattr(writing, "FIRST_DELAY", 0.2)  # so long that the second outage is seen before its next attempt
    monkeypatch.setattr(writing, "LAST_DELAY", 1_000.0)
    async with opened(folder) as journal:
        for entry in ("first", "second"):
            await fail(journal, READ_ONLY)
            journal.sessions.add_entry(KEY, asked(entry))
            await until(lambda: journal.failing)
            if entry == "first":
                await until(lambda: journal._writer._delay > 0.3)
            else:
                assert journal._writer._delay == writing.FIRST_DELAY
            await journal._connection.execute_fetchall(WRITABLE)
            await until(lambda: not journal.failing, within=1.0)
            assert caplog.messages[-1] == "the journal is written again"
