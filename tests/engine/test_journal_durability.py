"""The journal on a real database: what it calls durable is, and what was noted comes back as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from supervisor.api.entries import Entry, Noticed, Replied, TurnEnded
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Failed, FailureKind, Interrupted, Usage
from supervisor.api.questions import Question, QuestionKind, QuestionOutcome
from supervisor.journal import ClientRecord, OfferOutcome
from supervisor.journal.guard import Guard
from tests.engine.journal_stage import KEY, OTHER, accept, asked, ignore, make_session, make_turn, opened, read
from tests.waiting import until

pytestmark = pytest.mark.anyio


# Writing


async def test_what_was_noted_comes_back_after_a_restart(folder: Path) -> None:
    """R2."""
    session = make_session(
        uuid="u", workspace="/w", usage=Usage(1, 2, 3, 0.5), cost_seen=0.5, allowed=frozenset({"Bash: ls"}), note="ü"
    )
    question = Question("q", QuestionKind.PERMISSION, KEY, "b", "desk-1", "Bash", "ls", "ls", 1.0, 2.0)
    client = ClientRecord("desk-1", "run:desk-1", 42, 1.5, "u", KEY)
    async with opened(folder) as journal:
        journal.sessions.keep(make_session())
        journal.sessions.keep(session)
        for name in ("a", "b", "c"):
            journal.turns.accept(make_turn(name), ignore)
        journal.turns.start("a", 2.0, lambda: None)
        journal.turns.end("a", 3.0, Done("fine"))
        journal.turns.start("b", 4.0, lambda: None)
        journal.questions.note(question)
        journal.questions.note(Question("r", QuestionKind.PERMISSION, KEY, "b", "desk-1", "Bash", "ls", "ls", 1.0, 2.0))
        journal.questions.settle("r", 1.5, QuestionOutcome.DENIED, "operator", "no")
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


async def test_a_journal_that_was_closed_reads_no_more(folder: Path) -> None:
    """R2: neither of its connections holds the file, or a descriptor."""
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), ignore)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        journal._reader._connection.execute("SELECT 1")


async def test_a_question_out_of_time_is_none_of_ours(folder: Path) -> None:
    """No clock can show when it was asked, or until when an answer counts."""
    question = Question("kept", QuestionKind.PERMISSION, KEY, "b", "desk-1", "Bash", "ls", "ls", 1.0, 2.0)
    async with opened(folder) as journal:
        journal.questions.note(question)
        journal.questions.note(replace(question, id="asked", asked_at=1e300))
        journal.questions.note(replace(question, id="expires", expires_at=-1.0))
    async with opened(folder) as journal:
        loaded = await journal.load()
    assert loaded.questions == (question,)
    assert {(row.table, row.id) for row in loaded.unreadable} == {("questions", "asked"), ("questions", "expires")}


async def test_what_is_noted_together_is_written_together(folder: Path) -> None:
    async with opened(folder) as journal:
        before = journal.commits
        for number in range(1_000):
            journal.turns.accept(make_turn(f"t{number}"), ignore)
            journal.sessions.add_entry(KEY, asked(f"t{number}"))
        await journal.flush()
        assert journal.commits - before == 1


async def test_what_waits_for_a_commit_is_told_when_the_locks_file_has_counted_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: what was acknowledged is missed when an older copy takes the journal's place."""
    counting, may_count = threading.Event(), threading.Event()
    count = Guard.note_commit
    told: list[str] = []

    def wait_and_count(guard: Guard) -> None:
        counting.set()
        assert may_count.wait(20)
        told.append("counted")
        count(guard)

    async with opened(folder) as journal:
        await journal.flush()
        monkeypatch.setattr(Guard, "note_commit", wait_and_count)
        journal.turns.accept(make_turn("a"), lambda error: told.append("accepted"))
        try:
            await until(counting.is_set)
            await anyio.lowlevel.checkpoint()
            assert told == []
        finally:
            may_count.set()
        await until(lambda: "accepted" in told)
        assert told == ["counted", "accepted"]


async def test_what_a_call_raises_that_is_told_of_a_commit_ends_the_journal_with_everything_written(
    folder: Path,
) -> None:
    def fail() -> None:
        raise RuntimeError("a mistake")

    told: list[str] = []

    async def note() -> None:
        async with opened(folder) as journal:
            journal.turns.start("x", 1.0, fail)
            journal.turns.accept(make_turn("a"), lambda _: told.append("a"))
            await anyio.sleep_forever()

    with pytest.raises(RuntimeError, match="a mistake"):
        await note()
    assert told == ["a"]
    assert read(folder, "SELECT id FROM turns") == [("a",)]


async def test_what_was_said_waits_to_be_written_with_what_is_told(folder: Path) -> None:
    async with opened(folder) as journal:
        await journal.flush()
        before = journal.commits
        journal.sessions.add_entry(KEY, Replied(at=1.0, turn_id="a", text="said"))
        await anyio.wait_all_tasks_blocked()
        assert journal.commits == before
        assert [entry.text for entry in journal.history(KEY) if isinstance(entry, Replied)] == ["said"]
        durable = anyio.Event()
        journal.turns.start("a", 2.0, durable.set)
        with anyio.fail_after(5):
            await durable.wait()
        assert journal.commits == before + 1
        assert read(folder, "SELECT kind FROM entries") == [("replied",)]


async def test_what_was_said_is_written_soon_also_when_nothing_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.journal.writer.LINGER", 0.01)
    async with opened(folder) as journal:
        await journal.flush()
        for kind in ("replied", "asked"):
            await anyio.wait_all_tasks_blocked()
            journal.sessions.add_entry(
                KEY, asked("a") if kind == "asked" else Replied(at=1.0, turn_id="a", text="said")
            )
            await until(lambda kind=kind: (kind,) in read(folder, "SELECT kind FROM entries"))  # type: ignore[misc]


async def test_a_turn_is_durable_before_it_is_called_accepted(folder: Path) -> None:
    """Somebody else sees it in the file at the moment of the call."""
    seen: list[Any] = []
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), lambda _: seen.append(read(folder, "SELECT id, started_at FROM turns")))
        await journal.flush()
        journal.turns.start("a", 2.0, lambda: seen.append(read(folder, "SELECT id, started_at FROM turns")))
        await journal.flush()
    assert seen == [[("a", None)], [("a", 2.0)]]


async def test_calls_are_made_in_the_order_of_the_notes(folder: Path) -> None:
    calls: list[str] = []
    async with opened(folder) as journal:
        for name in "abc":
            journal.turns.accept(make_turn(name), lambda _, name=name: calls.append(f"accepted {name}"))  # type: ignore[misc]
            journal.turns.start(name, 1.0, lambda name=name: calls.append(f"started {name}"))  # type: ignore[misc]
    assert calls == ["accepted a", "started a", "accepted b", "started b", "accepted c", "started c"]


async def test_a_turn_has_one_outcome_and_the_first_stands(folder: Path) -> None:
    """R1. In one transaction as well as over several."""
    async with opened(folder) as journal:
        journal.turns.accept(make_turn("a"), ignore)
        journal.turns.end("a", 1.0, Cancelled("first"))
        journal.turns.end("a", 2.0, Done("second"))
        pending = await journal.find_turn("a")
        await journal.flush()
        journal.turns.end("a", 3.0, Failed(FailureKind.CRASHED, "third"))
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
        journal.sessions.add_entry(KEY, Replied(at=1.0, text="half \ude00"))
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
            journal.sessions.add_entry(KEY, entry)

        say(Noticed(at=0.0, text="before anything"))
        for number in range(5):
            say(asked(f"t{number}"))
            say(Replied(at=1.0, turn_id=f"t{number}", text="yes"))
            say(TurnEnded(at=1.0, turn_id=f"t{number}", outcome=Interrupted("cut")))
            journal.sessions.add_entry(OTHER, asked("of another"))
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
                journal.sessions.add_entry(KEY, said[-1])
            await anyio.lowlevel.checkpoint()
            assert journal.history(KEY) == said


async def test_forgetting_a_session_takes_all_of_it_along_but_the_outcomes(folder: Path) -> None:
    """R1: what was accepted has a recorded outcome, also where the conversation is not to be kept."""
    async with opened(folder) as journal:
        for key in (KEY, OTHER):
            journal.sessions.keep(make_session(key))
            journal.turns.accept(make_turn(f"{key.user}-1", key), ignore)
            journal.turns.end(f"{key.user}-1", 2.0, Interrupted("died"))
            journal.turns.offer(f"{key.user}-1", key, 2.0, 3.0)
            journal.sessions.add_entry(key, asked("a"))
            journal.questions.note(Question(key.user, QuestionKind.CHOICE, key, "", "", "", "", "", 1.0, 2.0))
        await journal.flush()
        journal.erasures.forget_session(KEY)
        assert journal.history(KEY) == []
        record = await journal.find_turn("alice-1")
        assert record is not None
        assert record.outcome == Interrupted("died")
        journal.sessions.add_entry(KEY, asked("anew"))
        assert journal.history(KEY) == [asked("anew")]
        await journal.flush()
        assert journal.history(KEY) == [asked("anew")]
        assert journal.history(OTHER) == [asked("a")]
    for table, left in (("sessions", 1), ("turns", 2), ("offers", 1), ("questions", 1), ("entries", 2)):
        assert read(folder, f"SELECT count(*) FROM {table}") == [(left,)], table


async def test_an_entry_that_cannot_be_read_does_not_take_the_conversation_away(folder: Path) -> None:
    async with opened(folder) as journal:
        journal.sessions.add_entry(KEY, asked("a"))
        journal.sessions.add_entry(KEY, Replied(at=5.0, text="x"))
        journal.sessions.add_entry(KEY, Replied(at=6.0, text="y"))
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
            journal.turns.accept(make_turn(name), ignore)
            journal.turns.end(name, 2.0, Interrupted("bullpen died"))
            journal.turns.offer(name, KEY, 2.0, 9.0)
        await journal.flush()
        assert [offer.turn.id for offer in (await journal.load()).offers] == ["a", "b", "c"]
        journal.turns.settle_offer("a", 3.0, OfferOutcome.DROPPED)
        journal.turns.settle_offer("a", 4.0, OfferOutcome.EXPIRED)
        assert await accept(journal, make_turn("b2", replays="b")) is None
        (left,) = (await journal.load()).offers
        assert (left.turn.id, left.turn.outcome, left.expires_at) == ("c", Interrupted("bullpen died"), 9.0)
        assert [turn.replays for turn in (await journal.load()).waiting] == ["b"]
    assert read(folder, "SELECT settled FROM offers ORDER BY turn_id") == [("dropped",), ("replayed",), ("",)]


async def test_pruning_spares_what_is_recent_open_on_offer_or_said_in_a_known_session(folder: Path) -> None:
    async with opened(folder) as journal:
        journal.sessions.keep(make_session(OTHER))
        for key in (KEY, OTHER):
            for at in (1.0, 9.0):
                name = f"{key.user}-{at}"
                journal.turns.accept(make_turn(name, key), ignore)
                journal.turns.end(name, at, Done(""))
                journal.sessions.add_entry(key, Noticed(at=at, text=name))
            journal.turns.accept(make_turn(f"{key.user}-open", key), ignore)
            for name, at in (("settled", 1.0), ("late", 9.0)):
                journal.questions.note(
                    Question(f"{key.user}-{name}", QuestionKind.CHOICE, key, "", "", "", "", "", 1.0, 2.0)
                )
                journal.questions.settle(f"{key.user}-{name}", at, QuestionOutcome.DENIED, "", "")
        journal.turns.accept(make_turn("bob-offered", OTHER), ignore)
        journal.turns.end("bob-offered", 1.0, Interrupted("bullpen died"))
        journal.turns.offer("bob-offered", OTHER, 2.0, 9.0)
        journal.note_action(1.0, "old", "", "")
        journal.note_action(9.0, "new", "", "")
        await journal.prune(5.0)
    assert read(folder, "SELECT verb FROM actions") == [("new",)]
    assert {row[0] for row in read(folder, "SELECT id FROM questions")} == {"alice-late", "bob-late"}
    assert {row[0] for row in read(folder, "SELECT id FROM turns")} == {
        "alice-9.0", "alice-open", "bob-9.0", "bob-open", "bob-offered",
    }  # fmt: skip
    assert [row[0] for row in read(folder, "SELECT at FROM entries ORDER BY number")] == [9.0, 1.0, 9.0]


async def test_history_gives_no_more_text_than_a_conversation_holds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of it, in order."""
    monkeypatch.setattr("supervisor.journal.reader.MOST_TEXT_HELD", 10_000)
    async with opened(folder) as journal:
        for number in range(50):
            journal.sessions.add_entry(KEY, Noticed(at=1.0, text=f"{number}" + "x" * 1_000))
        await journal.flush()
        found = [entry.text.rstrip("x") for entry in journal.history(KEY) if isinstance(entry, Noticed)]
    assert found == [str(number) for number in range(50 - len(found), 50)]
    assert 5 < len(found) < 10


async def test_entries_of_a_new_run_come_after_all_others_whatever_was_forgotten(folder: Path) -> None:
    """A number that was given before would be taken for the same entry, and not be written."""
    async with opened(folder) as journal:
        for number in range(3):
            journal.sessions.add_entry(KEY, asked(f"a{number}"))
            journal.sessions.add_entry(OTHER, asked(f"b{number}"))
        journal.erasures.forget_session(KEY)
    async with opened(folder) as journal:
        for number in range(3, 6):
            journal.sessions.add_entry(OTHER, asked(f"b{number}"))
    async with opened(folder) as journal:
        assert journal.history(OTHER) == [asked(f"b{number}") for number in range(6)]
        assert journal.history(KEY) == []


async def test_one_that_is_broken_off_while_it_is_opened_leaves_no_thread_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread would tell a loop that is closed, and the traceback of that would stand on the terminal."""
    begun, may_go_on, has_left = anyio.Event(), threading.Event(), anyio.Event()
    connections: list[aiosqlite.Connection] = []
    loop = asyncio.get_running_loop()

    def connect(path: Path, **given: Any) -> aiosqlite.Connection:
        def connector() -> sqlite3.Connection:
            loop.call_soon_threadsafe(begun.set)
            may_go_on.wait(10)
            return sqlite3.connect(path, **given)

        connections.append(aiosqlite.Connection(connector, 64))
        return connections[0]

    monkeypatch.setattr("supervisor.journal.store.aiosqlite.connect", connect)

    async def open_it() -> None:
        try:
            async with opened(folder):
                raise AssertionError("it was broken off before")
        finally:
            has_left.set()

    async with anyio.create_task_group() as group:
        group.start_soon(open_it)
        await begun.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            waits_for_it = not has_left.is_set()
            may_go_on.set()
    assert waits_for_it
    connections[0]._thread.join(10)
    assert not connections[0]._thread.is_alive()
