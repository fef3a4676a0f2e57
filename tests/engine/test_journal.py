"""The journal on a real database: what it calls durable is, what it cannot write it says, and it loses nothing."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import supervisor
from supervisor.clock import Clock
from supervisor.conversation import Asked, Entry, Noticed, Replied, TurnEnded
from supervisor.errors import JournalFailed, JournalUnusable
from supervisor.journal import ClientRecord, Journal, OfferOutcome, SessionRecord, TurnRecord
from supervisor.journal import writer as writing
from supervisor.model import (
    Cancelled,
    Done,
    Failed,
    FailureKind,
    Interrupted,
    Priority,
    Prompt,
    Question,
    QuestionKind,
    QuestionOutcome,
    SessionKey,
    Source,
    Usage,
)
from tests.waiting import until

pytestmark = pytest.mark.anyio

KEY = SessionKey("desk", "alice", "default")
OTHER = SessionKey("desk", "bob", "default")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Journal]:
    async with Journal.open(folder, clock=Clock()) as journal:
        yield journal


def make_turn(turn_id: str, key: SessionKey = KEY, text: str = "Hello", replays: str = "") -> TurnRecord:
    prompt = Prompt(key.instance, text, user=key.user, source=Source.HOOK, priority=Priority.HIGH)
    return TurnRecord(turn_id, f"uuid-{turn_id}", key, prompt, queued_at=1.0, replays=replays)


def make_session(key: SessionKey = KEY, **fields: Any) -> SessionRecord:
    return SessionRecord(key, created_at=1.0, last_activity_at=2.0, **fields)


def asked(turn_id: str) -> Asked:
    return Asked(at=1.0, turn_id=turn_id, text=f"prompt of {turn_id}", source=Source.CALLER, user="alice")


def ignore(_: JournalFailed | None) -> None:
    pass


def read(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        return connection.execute(sql).fetchall()


async def accept(journal: Journal, record: TurnRecord) -> JournalFailed | None:
    settled: list[JournalFailed | None] = []
    journal.accept_turn(record, settled.append)
    await until(lambda: settled)
    return settled[0]


# Writing


async def test_what_was_noted_comes_back_after_a_restart(folder: Path) -> None:
    """R2."""
    session = make_session(
        uuid="u", workspace="/w", usage=Usage(1, 2, 3, 0.5), cost_seen=0.5, allowed=frozenset({"Bash: ls"}), note="ü"
    )
    question = Question("q", QuestionKind.PERMISSION, KEY, "b", "desk-1", "Bash", "ls", "ls", 1.0, 2.0)
    client = ClientRecord("desk-1", "run:desk-1", 42, 1.5, "u", KEY)
    async with opened(folder) as journal:
        journal.keep_session(make_session())
        journal.keep_session(session)
        for name in ("a", "b", "c"):
            journal.accept_turn(make_turn(name), ignore)
        journal.start_turn("a", 2.0, lambda: None)
        journal.end_turn("a", 3.0, Done("fine"))
        journal.start_turn("b", 4.0, lambda: None)
        journal.note_question(question)
        journal.note_question(Question("r", QuestionKind.PERMISSION, KEY, "b", "desk-1", "Bash", "ls", "ls", 1.0, 2.0))
        journal.settle_question("r", 1.5, QuestionOutcome.DENIED, "operator", "no")
        journal.note_action(1.0, "drain", "desk", "")
        journal.note_client(client._replace(pid=0, key=None))
        journal.note_client(client)
        journal.note_client(client._replace(mark="other:desk-1"))
        journal.forget_client("other:desk-1")

    async with opened(folder) as journal:
        loaded = await journal.load()

        assert loaded.sessions == (session,)
        assert loaded.waiting == (make_turn("c")._replace(seq=3),)
        assert loaded.running == (make_turn("b")._replace(seq=2, started_at=4.0),)
        assert loaded.questions == (question,)
        assert loaded.clients == (client,)
        assert loaded.offers == ()
        ended = await journal.find_turn("a")
        assert ended == make_turn("a")._replace(seq=1, started_at=2.0, ended_at=3.0, outcome=Done("fine"))
    assert read(folder, 'SELECT verb, target, "by" FROM actions') == [("drain", "desk", "operator")]


async def test_what_is_noted_together_is_written_together(folder: Path) -> None:
    async with opened(folder) as journal:
        before = journal.commits
        for number in range(1_000):
            journal.accept_turn(make_turn(f"t{number}"), ignore)
            journal.add_entry(KEY, asked(f"t{number}"))
        await journal.flush()
        assert journal.commits - before == 1


async def test_a_turn_is_durable_before_it_is_called_accepted(folder: Path) -> None:
    """Somebody else sees it in the file at the moment of the call."""
    seen: list[Any] = []
    async with opened(folder) as journal:
        journal.accept_turn(make_turn("a"), lambda _: seen.append(read(folder, "SELECT id, started_at FROM turns")))
        await journal.flush()
        journal.start_turn("a", 2.0, lambda: seen.append(read(folder, "SELECT id, started_at FROM turns")))
        await journal.flush()
    assert seen == [[("a", None)], [("a", 2.0)]]


async def test_calls_are_made_in_the_order_of_the_notes(folder: Path) -> None:
    calls: list[str] = []
    async with opened(folder) as journal:
        for name in "abc":
            journal.accept_turn(make_turn(name), lambda _, name=name: calls.append(f"accepted {name}"))  # type: ignore[misc]
            journal.start_turn(name, 1.0, lambda name=name: calls.append(f"started {name}"))  # type: ignore[misc]
    assert calls == ["accepted a", "started a", "accepted b", "started b", "accepted c", "started c"]


async def test_a_turn_has_one_outcome_and_the_first_stands(folder: Path) -> None:
    """R1. In one transaction as well as over several."""
    async with opened(folder) as journal:
        journal.accept_turn(make_turn("a"), ignore)
        journal.end_turn("a", 1.0, Cancelled("first"))
        journal.end_turn("a", 2.0, Done("second"))
        pending = await journal.find_turn("a")
        await journal.flush()
        journal.end_turn("a", 3.0, Failed(FailureKind.CRASHED, "third"))
        await journal.flush()
        written = await journal.find_turn("a")
    assert pending is not None
    assert written is not None
    assert pending.outcome == written.outcome == Cancelled("first")
    assert read(folder, "SELECT outcome, ended_at FROM turns") == [("cancelled", 1.0)]


async def test_text_that_is_not_utf8_is_recorded_all_the_same(folder: Path) -> None:
    """R5."""
    async with opened(folder) as journal:
        assert await accept(journal, make_turn("a", text="half a \ud83d smile \0 and more")) is None
        journal.add_entry(KEY, Replied(at=1.0, text="half \ude00"))
        journal.note_action(1.0, "x", "\ud83d", "")
        await journal.flush()
        found = await journal.find_turn("a")
        assert found is not None
        assert found.prompt.text == "half a \ufffd smile \0 and more"


# Reading


async def test_history_is_the_last_turns_with_what_was_noted_just_now(folder: Path) -> None:
    said: list[Entry] = []
    async with opened(folder) as journal:

        def say(entry: Entry) -> None:
            said.append(entry)
            journal.add_entry(KEY, entry)

        say(Noticed(at=0.0, text="before anything"))
        for number in range(5):
            say(asked(f"t{number}"))
            say(Replied(at=1.0, turn_id=f"t{number}", text="yes"))
            say(TurnEnded(at=1.0, turn_id=f"t{number}", outcome=Interrupted("cut")))
            journal.add_entry(OTHER, asked("of another"))
            if number == 2:
                await journal.flush()

        def check() -> None:
            assert journal.history(KEY) == said
            assert journal.history(KEY, 5) == said[1:]
            assert journal.history(KEY, 1) == said[-3:]
            assert journal.history(KEY, 3) == said[-9:]
            assert journal.history(SessionKey("desk", "nobody", "x")) == []

        check()
        await journal.flush()
        check()
    async with opened(folder) as journal:
        check()
        say(asked("later"))
        assert journal.history(KEY, 5) == said[4:]


async def test_history_never_shows_an_entry_twice_or_not_at_all_while_it_is_being_written(folder: Path) -> None:
    said: list[Entry] = []
    async with opened(folder) as journal:
        for number in range(100):
            for part in range(20):
                said.append(Noticed(at=1.0, text=f"{number} {part}"))
                journal.add_entry(KEY, said[-1])
            await anyio.lowlevel.checkpoint()
            assert journal.history(KEY) == said


async def test_forgetting_a_session_takes_all_of_it_along_and_nothing_else(folder: Path) -> None:
    async with opened(folder) as journal:
        for key in (KEY, OTHER):
            journal.keep_session(make_session(key))
            journal.accept_turn(make_turn(f"{key.user}-1", key), ignore)
            journal.end_turn(f"{key.user}-1", 2.0, Interrupted("died"))
            journal.offer_turn(f"{key.user}-1", key, 2.0, 3.0)
            journal.add_entry(key, asked("a"))
            journal.note_question(Question(key.user, QuestionKind.CHOICE, key, "", "", "", "", "", 1.0, 2.0))
        await journal.flush()
        journal.forget_session(KEY)
        assert journal.history(KEY) == []
        assert await journal.find_turn("alice-1") is None
        journal.add_entry(KEY, asked("anew"))
        assert journal.history(KEY) == [asked("anew")]
        await journal.flush()
        assert journal.history(KEY) == [asked("anew")]
        assert journal.history(OTHER) == [asked("a")]
    for table, left in (("sessions", 1), ("turns", 1), ("offers", 1), ("questions", 1), ("entries", 2)):
        assert read(folder, f"SELECT count(*) FROM {table}") == [(left,)], table


async def test_an_entry_that_cannot_be_read_does_not_take_the_conversation_away(folder: Path) -> None:
    async with opened(folder) as journal:
        journal.add_entry(KEY, asked("a"))
        journal.add_entry(KEY, Replied(at=5.0, text="x"))
        journal.add_entry(KEY, Replied(at=6.0, text="y"))
    with closing(sqlite3.connect(folder / "journal.db")) as connection, connection:
        connection.execute("UPDATE entries SET kind = 'sung' WHERE at = 5.0")
    async with opened(folder) as journal:
        first, second, third = journal.history(KEY)
        assert (first, third) == (asked("a"), Replied(at=6.0, text="y"))
        assert isinstance(second, Noticed)
        assert second.at == 5.0


async def test_an_offer_is_open_until_it_is_settled_and_its_replay_settles_it(folder: Path) -> None:
    """R2. The replay's prompt and the end of the offer are one note: neither is ever there without the other."""
    async with opened(folder) as journal:
        for name in "abc":
            journal.accept_turn(make_turn(name), ignore)
            journal.end_turn(name, 2.0, Interrupted("bullpen died"))
            journal.offer_turn(name, KEY, 2.0, 9.0)
        await journal.flush()
        assert [offer.turn.id for offer in (await journal.load()).offers] == ["a", "b", "c"]
        journal.settle_offer("a", 3.0, OfferOutcome.DROPPED)
        journal.settle_offer("a", 4.0, OfferOutcome.EXPIRED)
        assert await accept(journal, make_turn("b2", replays="b")) is None
        (left,) = (await journal.load()).offers
        assert (left.turn.id, left.turn.outcome, left.expires_at) == ("c", Interrupted("bullpen died"), 9.0)
        assert [turn.replays for turn in (await journal.load()).waiting] == ["b"]
    assert read(folder, "SELECT settled FROM offers ORDER BY turn_id") == [("dropped",), ("replayed",), ("",)]


async def test_pruning_spares_what_is_recent_open_or_of_a_known_session(folder: Path) -> None:
    async with opened(folder) as journal:
        journal.keep_session(make_session(OTHER))
        for key in (KEY, OTHER):
            for at in (1.0, 9.0):
                name = f"{key.user}-{at}"
                journal.accept_turn(make_turn(name, key), ignore)
                journal.end_turn(name, at, Done(""))
                journal.add_entry(key, Noticed(at=at, text=name))
            journal.accept_turn(make_turn(f"{key.user}-open", key), ignore)
            for name, at in (("settled", 1.0), ("late", 9.0)):
                journal.note_question(
                    Question(f"{key.user}-{name}", QuestionKind.CHOICE, key, "", "", "", "", "", 1.0, 2.0)
                )
                journal.settle_question(f"{key.user}-{name}", at, QuestionOutcome.DENIED, "", "")
        journal.note_action(1.0, "old", "", "")
        journal.note_action(9.0, "new", "", "")
        await journal.prune(5.0)
    assert read(folder, "SELECT verb FROM actions") == [("new",)]
    assert {row[0] for row in read(folder, "SELECT id FROM questions")} == {"alice-late", "bob-late"}
    assert {row[0] for row in read(folder, "SELECT id FROM turns")} == {
        "alice-9.0", "alice-open", "bob-1.0", "bob-9.0", "bob-open",
    }  # fmt: skip
    assert [row[0] for row in read(folder, "SELECT at FROM entries ORDER BY number")] == [9.0, 1.0, 9.0]


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
        journal.accept_turn(make_turn("before"), ignore)
        await fail(journal, "PRAGMA max_page_count = 1")  # SQLite takes the present size when that is more.
        journal.start_turn("before", 2.0, lambda: calls.append("started"))
        journal.end_turn("before", 3.0, Done("x" * 100_000))
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
            journal.accept_turn(make_turn(name), ignore)
        await fail(journal, READ_ONLY)
        for name in "abc":
            journal.start_turn(name, 2.0, lambda name=name: durable.append(name))  # type: ignore[misc]
            journal.add_entry(KEY, asked(name))
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
        journal.accept_turn(make_turn("a"), ignore)
        journal.offer_turn("a", KEY, 2.0, 9.0)
        await fail(journal, READ_ONLY)
        assert await accept(journal, make_turn("a2", replays="a")) is not None
        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)
        assert len((await journal.load()).offers) == 1


async def test_it_learns_by_itself_that_the_disk_is_well_again(
    folder: Path, fail: Callable[[Journal, str], Any]
) -> None:
    """Nothing is left to be written, and nobody sends a prompt."""
    async with opened(folder) as journal:
        await fail(journal, READ_ONLY)
        assert await accept(journal, make_turn("a")) is not None
        assert journal.failing
        await journal._connection.execute_fetchall(WRITABLE)
        await until(lambda: not journal.failing)


async def test_a_lock_of_another_program_is_waited_out(
    folder: Path, fail: Callable[[Journal, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as journal:
        await fail(journal, "PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.add_entry(KEY, asked("a"))
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


async def test_a_mistake_of_ours_is_raised_and_everything_else_is_written(folder: Path) -> None:
    """One note that can never be written does not hold up the others, those after the mistake included."""
    settled: list[JournalFailed | None] = []

    async def work() -> None:
        async with opened(folder) as journal:
            journal.accept_turn(make_turn("a"), settled.append)
            journal.note_action(None, "no time", "", "")  # type: ignore[arg-type]
            journal.accept_turn(make_turn("b")._replace(uuid=None), settled.append)  # type: ignore[arg-type]
            journal.accept_turn(make_turn("c"), settled.append)
            try:
                await anyio.sleep_forever()
            finally:
                journal.end_turn("a", 2.0, Cancelled("the engine has failed"))

    with pytest.raises(sqlite3.IntegrityError):
        await work()
    assert settled[0] is settled[2] is None
    assert isinstance(settled[1], JournalFailed)
    assert read(folder, "SELECT id, outcome FROM turns") == [("a", "cancelled"), ("c", "")]


async def test_a_mistake_in_a_call_is_raised_after_the_other_calls_were_made(folder: Path) -> None:
    calls: list[str] = []

    async def work() -> None:
        async with opened(folder) as journal:
            journal.start_turn("a", 1.0, lambda: calls.append(str(1 // 0)))
            journal.start_turn("b", 1.0, lambda: calls.append("b"))
            await anyio.sleep_forever()

    with pytest.raises(ZeroDivisionError):
        await work()
    assert calls == ["b"]


# Closing


async def test_a_failure_of_the_body_comes_out_as_it_is(folder: Path) -> None:
    async def work() -> None:
        async with opened(folder) as journal:
            journal.add_entry(KEY, asked("a"))
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
                journal.accept_turn(make_turn("a"), ignore)
                running.set()
                try:
                    await anyio.sleep_forever()
                finally:
                    journal.end_turn("a", 2.0, Cancelled("stopped"))

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
        journal.add_entry(KEY, asked("a"))
    assert "1 notes could not be written" in caplog.text
    assert "it is read-only" in caplog.text


async def test_a_damaged_file_is_told_and_left(folder: Path) -> None:
    async with opened(folder) as journal:
        for number in range(500):
            journal.keep_session(make_session(SessionKey("desk", f"u{number}", "s"), note="x" * 500))
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
from supervisor.model import Prompt, SessionKey

KEY = SessionKey("desk", "alice", "default")

async def main():
    async with Journal.open(Path(sys.argv[1]), clock=Clock()) as journal:
        for number in range(1_000_000):
            record = TurnRecord(f"t{number}", "u", KEY, Prompt("desk", "x" * 500), 1.0)
            journal.accept_turn(record, lambda error, number=number: print(number, error, flush=True))
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
