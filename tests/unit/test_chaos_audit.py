"""The reckoning of `make chaos` is an instrument: every figure that must be 0 is shown to move."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import psutil
import pytest

from supervisor.process.process_tree import MARK
from supervisor.rehearsal import MessagesRequest
from supervisor.rehearsal.request import parse_request
from tests.chaos.audit import Reckoning, examine, find_unhooked
from tests.chaos.books import Books, Entry
from tests.chaos.callers import REJECTION
from tests.chaos.ledger import Handed, Ledger, Place
from tests.chaos.leftovers import end_leaked
from tests.chaos.stage import Stage
from tests.chaos.transcripts import SUMMARY

ANA, BEN = Place("ana", "s"), Place("ben", "s")
WORDS = {"word000001": ANA, "word000002": ANA, "word000003": BEN}
UUIDS = {ANA: str(uuid4()), BEN: str(uuid4())}


@pytest.fixture
def ledger() -> Ledger:
    """Three accepted turns, two of them in one session, all told as done."""
    ledger = Ledger()
    for word, place in WORDS.items():
        ledger.handed[word] = Handed(word, place, f"[[echo]] {word}")
        ledger.accept(f"turn-{word}", ledger.handed[word])
        ledger.hear(1, {"told": "outcome", "turn": f"turn-{word}", "outcome": "done", "reason": ""})
    return ledger


def entry(word: str, outcome: str = "done", turn: str = "", ended_at: float = 10.0) -> Entry:
    return Entry(turn or f"turn-{word}", WORDS[word], word, outcome, ended_at)


def books(*entries: Entry, **facts: object) -> Books:
    return Books(entries or tuple(map(entry, WORDS)), UUIDS, **facts)  # type: ignore[arg-type]


def said(*words: str) -> list[tuple[str, str]]:
    return [line for word in words for line in (("user", f"[[echo]] {word}"), ("assistant", word))]


def write_transcript(folder: Path, place: Place, lines: list[tuple[str, str]]) -> None:
    path = folder / "projects" / "p" / f"{UUIDS[place]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "type": role,
            "uuid": f"{place.user}-{number}",
            "parentUuid": f"{place.user}-{number - 1}" if number else None,
            "sessionId": UUIDS[place],
            "message": {"role": role, "content": [{"type": "text", "text": text}]},
        }
        for number, (role, text) in enumerate(lines)
    ]
    path.write_text("\n".join(map(json.dumps, entries)) + "\n")


def request(lines: list[tuple[str, str]]) -> MessagesRequest:
    return parse_request({"messages": [{"role": role, "content": text} for role, text in lines]}, at=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Transcripts in which everything is as it should be."""
    write_transcript(tmp_path, ANA, said("word000001", "word000002"))
    write_transcript(tmp_path, BEN, said("word000003"))
    return tmp_path


def findings(reckoning: Reckoning) -> dict[str, list[str]]:
    return {name: found for name, found in reckoning.must_be_empty.items() if found}


def test_a_run_in_order_is_clean(ledger: Ledger, folder: Path) -> None:
    record = [request(said("word000001", "word000002")[:-1]), request(said("word000003")[:-1])]
    reckoning = examine(ledger, books(), record, folder)
    assert findings(reckoning) == {}
    assert (reckoning.accepted, reckoning.outcomes["done"]) == (3, 3)


def test_an_accepted_turn_without_an_outcome_is_lost(ledger: Ledger, folder: Path) -> None:
    """R1"""
    kept = (entry("word000001"), entry("word000003", outcome=""))
    lost = examine(ledger, books(*kept), [], folder).lost
    assert len(lost) == 2
    assert "turn-word000002 (word000002 of ana/s) is not in the journal" in lost
    assert "turn-word000003 (word000003 of ben/s) has no outcome" in lost


def test_an_outcome_that_was_told_otherwise_is_a_second_one(ledger: Ledger, folder: Path) -> None:
    """R1"""
    changed = (entry("word000001"), entry("word000002", "interrupted"), entry("word000003"))
    assert len(examine(ledger, books(*changed), [], folder).duplicated) == 1
    ledger.hear(1, {"told": "outcome", "turn": "turn-word000001", "outcome": "done", "reason": ""})
    assert len(examine(ledger, books(*changed), [], folder).duplicated) == 2


def test_a_turn_that_no_hook_was_told_of_as_it_ended_is_found(folder: Path) -> None:
    """S1.28"""
    journal, hooked = folder / "journal.db", folder / "hooked"
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("CREATE TABLE hook_runs (turn_id TEXT)")
        connection.execute("INSERT INTO hook_runs VALUES ('turn-word000003')")
    kept = books(entry("word000001"), entry("word000002", "interrupted"), entry("word000003"))
    told = [{"id": "1", "turn": "turn-word000001", "outcome": "done"}]
    told += [{"id": "2", "turn": "turn-word000002", "outcome": "done"}]
    hooked.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    assert [*find_unhooked(kept, hooked, journal)] == ["turn-word000002, which is interrupted"]
    told += [told[1] | {"outcome": "interrupted"}]
    hooked.write_text("".join(f"{json.dumps(one)}\n" for one in told))
    assert [*find_unhooked(kept, hooked, journal)] == ["2 was told in two ways"]


def test_a_turn_that_ran_on_an_earlier_template_is_found(ledger: Ledger, folder: Path) -> None:
    """S3.1-2"""
    prompt = [{"role": "user", "content": "[[echo]] word000001"}]
    record = [parse_request({"system": "You help, in version 2.", "messages": prompt}, at=20.0)]
    ledger.hear(1, {"told": "begun", "at": 19.0, "turn": "turn-word000001", "version": 2})
    assert not examine(ledger, books(), record, folder).outdated
    ledger.hear(1, {"told": "begun", "at": 30.0, "turn": "turn-word000001", "version": 3})
    assert not examine(ledger, books(), record, folder).outdated, "its client was killed before it sent anything"
    ledger.hear(1, {"told": "begun", "at": 19.0, "turn": "turn-word000001", "version": 3})
    assert examine(ledger, books(), record, folder).outdated == [
        "turn-word000001 began with version 3 and sent version 2"
    ]


def test_a_prompt_that_suffers_for_a_rejected_one_is_found(ledger: Ledger, folder: Path) -> None:
    fine, poison = ledger.handed["word000001"], f"[[reject: 400, {REJECTION}]] word000002"
    rejected = {"outcome": "failed", "reason": f"API Error: 400 {REJECTION}"}
    ledger.accounts["turn-word000002"].handed = Handed("word000002", ANA, poison)
    ledger.hear(1, {"told": "outcome", "turn": "turn-word000002", **rejected})
    assert not examine(ledger, books(), [], folder).spoiled
    ledger.hear(1, {"told": "outcome", "turn": "turn-word000001", **rejected})
    (finding,) = examine(ledger, books(), [], folder).spoiled
    assert fine.word in finding


def test_an_answer_with_words_of_another_turn_is_found_unless_they_were_asked_for(ledger: Ledger, folder: Path) -> None:
    for asked, count in (("[[echo]] word000001", 1), ("[[recall]] word000001", 0)):
        mixed = replace(entry("word000001"), asked=asked, answered="word000002 and word000001")
        kept = (mixed, entry("word000002"), entry("word000003"))
        assert len(examine(ledger, books(*kept), [], folder).crossed) == count, asked


def test_work_done_twice_is_duplicated_even_as_a_replay(ledger: Ledger, folder: Path) -> None:
    """R2"""
    twice = (*map(entry, WORDS), entry("word000003", turn="again"))
    assert examine(ledger, books(*twice, replayed=frozenset({"word000003"})), [], folder).duplicated


def test_a_prompt_asked_twice_is_duplicated_unless_it_was_answered_and_then_replayed(
    ledger: Ledger, folder: Path
) -> None:
    """R2"""
    unanswered = [("user", "[[echo]] word000003"), *said("word000003")]
    answered = said("word000003", "word000003")
    replayed = frozenset({"word000003"})
    for lines, words, count in ((unanswered, replayed, 2), (answered, frozenset(), 2), (answered, replayed, 0)):
        write_transcript(folder, BEN, lines)
        reckoning = examine(ledger, books(replayed=words), [request(lines[:-1])], folder)
        assert len(reckoning.duplicated) == count, (lines, words)
        assert not reckoning.disagreeing


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        (said("word000001"), "done, and not in the transcript: ['word000002']"),
        (said("word000001", "word000002")[:-1], "done, and without its answer: ['word000002']"),
        (said("word000002", "word000001"), "in the order ['word000002', 'word000001']"),
        ([*said("word000001", "word000002"), ("assistant", "word000003")], "words of others: ['word000003']"),
    ],
)
def test_a_transcript_that_disagrees_is_found(
    ledger: Ledger, folder: Path, lines: list[tuple[str, str]], finding: str
) -> None:
    write_transcript(folder, ANA, lines)
    (found,) = examine(ledger, books(), [], folder).disagreeing
    assert finding in found


def test_a_request_with_the_words_of_two_sessions_is_found(ledger: Ledger, folder: Path) -> None:
    """S2.11"""
    (found,) = examine(ledger, books(), [request([*said("word000001"), *said("word000003")])], folder).disagreeing
    assert "words of ana/s, ben/s" in found


def test_a_session_that_forgets_is_found_unless_it_said_so(ledger: Ledger, folder: Path) -> None:
    """S2.34"""
    record = [request(said("word000002")[:-1])]
    (found,) = examine(ledger, books(), record, folder).disagreeing
    assert "has forgotten ['word000001']" in found
    assert not examine(ledger, books(losses=((ANA, 11.0),)), record, folder).disagreeing


def test_what_was_sent_later_is_not_forgotten(ledger: Ledger, folder: Path) -> None:
    """S2.34: the second prompt was sent first, was rejected, and never began again: the journal has it last."""
    record = [request(said("word000002")[:-1]), request(said("word000001")[:-1])]
    assert not [line for line in examine(ledger, books(), record, folder).disagreeing if "request 0" in line]


def test_what_the_cli_has_summed_up_is_not_forgotten(ledger: Ledger, folder: Path) -> None:
    """S2.34: told of 2^63 tokens, it compacts by itself."""
    summary = ("user", f"{SUMMARY} that ran out of context. A number was counted.")
    lines = [summary, *said("word000002")]
    write_transcript(folder, ANA, lines)
    assert not examine(ledger, books(), [request(lines[:-1])], folder).disagreeing


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[psutil.Process]:
    """A process with a client's mark, as one that outlived its supervisor has."""
    environment = {MARK: "run:desk-1", "CLAUDE_CONFIG_DIR": str(tmp_path / "claude")}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_a_process_that_outlives_its_supervisor_is_found_and_ended(stray: psutil.Process, tmp_path: Path) -> None:
    """R3"""
    (found,) = end_leaked(tmp_path)
    assert found.startswith(f"{stray.pid} ")
    assert end_leaked(tmp_path / "elsewhere") == []


def test_a_guard_that_is_being_started_is_no_client_yet(tmp_path: Path) -> None:
    """One that is stopped then is not told of its supervisor's death: it has started nothing, and stands there."""
    command = [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"]
    environment = {MARK: "run:desk-1", "CLAUDE_CONFIG_DIR": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stage = Stage(tmp_path, {}, Ledger(), random.Random(), Mock())
        stage._minutes.close()
        stage.is_up, stage._child = True, Mock(pid=os.getpid())
        assert ([*stage.clients()], [one.pid for one in stage.starting()]) == ([], [process.pid])
        stage.is_guarded = False  # then it is the CLI itself
        assert ([one.pid for one in stage.clients()], [*stage.starting()]) == ([process.pid], [])
        process.communicate(b"\n")
