"""What the journal keeps comes back as it was; a file that is not ours is left as it is."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api.codec import (
    ENTRY_WORDS,
    pack_entry,
    pack_outcome,
    pack_question,
    storable,
    unpack_entry,
    unpack_outcome,
    unpack_question,
)
from supervisor.api.entries import Entry
from supervisor.api.errors import JournalUnusable
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import OUTCOME_WORDS, Done, Outcome, Usage, outcome_word
from supervisor.api.prompts import Prompt, Route
from supervisor.api.questions import ChoiceItem, Question
from supervisor.journal import ClientRecord, SessionRecord, TurnRecord
from supervisor.journal.faults import find_fault, tell
from supervisor.journal.notes import Note, batches, step
from supervisor.journal.records import (
    Removal,
    bound_client,
    client_to_row,
    removal_to_row,
    row_to_client,
    row_to_removal,
    row_to_session,
    row_to_turn,
    session_to_row,
    turn_to_row,
)
from supervisor.journal.schema import MIGRATIONS, prepare


def every(kind: Any) -> st.SearchStrategy[Any]:
    """Values of that type with every field varied, those with a default too."""
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind is int:
        return st.integers(-(2**63), 2**63 - 1)
    if kind in KINDS_WITH_FIELDS:
        hints = get_type_hints(kind)
        return st.builds(kind, **{name: every(hint) for name, hint in hints.items()})
    if kind == Outcome:
        return st.one_of(*(every(one) for one in OUTCOME_WORDS))
    if kind == Outcome | None:
        return st.none() | every(Outcome)
    if kind == tuple[ChoiceItem, ...]:
        return st.lists(every(ChoiceItem), max_size=2).map(tuple)
    if kind == float | None:
        return st.none() | every(float)
    return st.from_type(kind)


# Beside others it would have any score: one that is no number is not equal to itself.
st.register_type_strategy(
    Route, st.builds(Route, st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text())
)

KINDS_WITH_FIELDS = {*ENTRY_WORDS, *OUTCOME_WORDS, Usage, Question, ChoiceItem, TurnRecord, SessionRecord}


def test_there_is_a_word_for_every_kind_of_entry() -> None:
    assert {kind.__name__ for kind in ENTRY_WORDS} == {kind.__name__ for kind in Entry.__subclasses__()}
    assert len(set(ENTRY_WORDS.values())) == len(ENTRY_WORDS)


@given(st.one_of(*(every(kind) for kind in ENTRY_WORDS)))
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    back = unpack_entry(*pack_entry(entry))
    assert type(back) is type(entry)
    assert back == entry


@given(every(Outcome))
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    """R1. Cancelled and interrupted look alike, and are never confused."""
    back = unpack_outcome(outcome_word(outcome), pack_outcome(outcome))
    assert type(back) is type(outcome)
    assert back == outcome


@given(every(Question))
def test_a_question_comes_back_as_it_was(question: Question) -> None:
    assert unpack_question(pack_question(question)) == question


@given(every(SessionRecord))
def test_a_session_comes_back_as_it_was(record: SessionRecord) -> None:
    assert row_to_session(session_to_row(record)) == record


@given(every(TurnRecord))
def test_a_turn_comes_back_as_it_was(record: TurnRecord) -> None:
    back = row_to_turn(turn_to_row(record))
    assert back._replace(seq=record.seq) == record


@given(st.builds(ClientRecord, started=every(float)))
def test_a_client_comes_back_as_it_was(record: ClientRecord) -> None:
    if record.key is None or record.key.instance:
        assert row_to_client(client_to_row(record)) == record


def test_rules_that_are_no_texts_are_refused() -> None:
    row = session_to_row(SessionRecord(KEY, created_at=1.0, last_activity_at=2.0, allowed=frozenset({"Bash: ls"})))
    assert row_to_session(row).allowed == {"Bash: ls"}
    with pytest.raises(ValueError, match="stands where a text should"):
        row_to_session(tuple('["Bash: ls", 1]' if value == '["Bash: ls"]' else value for value in row))


@given(st.builds(Removal, workspace_due_at=every(float | None), has_files=st.booleans()))
def test_what_is_to_be_removed_comes_back_as_it_was(record: Removal) -> None:
    assert row_to_removal(removal_to_row(record)) == record


KEY = SessionKey("desk", "ana", "default")
ROWS: list[tuple[Any, Any]] = [
    (row_to_session, session_to_row(SessionRecord(KEY, created_at=1.0, last_activity_at=2.0, note="note"))),
    (row_to_turn, turn_to_row(TurnRecord("t", "uuid", KEY, Prompt("desk", "hello"), 1.0, outcome=Done("text")))),
    (row_to_client, client_to_row(ClientRecord("desk-1", "mark", 12, 3.0, "uuid", KEY))),
    (row_to_removal, removal_to_row(Removal("uuid", "work", KEY, 5.0, True))),
]


@pytest.mark.parametrize(
    ("read", "row", "column"),
    [(read, row, column) for read, row in ROWS for column, value in enumerate(row) if isinstance(value, str)],
)
@pytest.mark.parametrize("value", [3, b"bytes", None])
def test_a_row_with_anything_else_in_the_place_of_a_text_is_refused(
    read: Any, row: tuple[Any, ...], column: int, value: object
) -> None:
    """A file that was edited or damaged: what is no text would be found out somewhere else, and much later."""
    read(row)
    if read is row_to_turn and column == OUTCOME_COLUMN and value is None:
        return  # it has not ended
    with pytest.raises((ValueError, KeyError, TypeError)):
        read((*row[:column], value, *row[column + 1 :]))


OUTCOME_COLUMN = 17


@pytest.mark.parametrize("pid", [-1, 2**31, "12", None, 1.5])
def test_a_pid_that_none_can_be_leaves_the_mark_alone_to_find_processes_by(pid: Any) -> None:
    record = ClientRecord("desk-1", "mark", pid, 3.0, "uuid", KEY)
    assert bound_client(record) == record._replace(pid=0, started=0.0)
    for good in (0, 1, 2**31 - 1):
        assert bound_client(record._replace(pid=good)) == record._replace(pid=good)
    assert bound_client(record._replace(pid=1, started="soon")).pid == 0


@given(st.text(st.characters()))
def test_any_text_can_be_stored(text: str) -> None:
    """R5. A lone surrogate is not UTF-8: it must not keep a prompt from being recorded."""
    stored = storable(text).encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert stored.decode() == text


def test_halves_of_a_character_are_put_together_and_a_half_alone_is_replaced() -> None:
    assert storable("a\ud83d\ude00b") == "a😀b"
    assert storable("a\ud83db") == "a\ufffdb"


def test_neighbours_with_the_same_sql_go_together_and_the_order_is_kept() -> None:
    notes = [Note((step("a", 1),)), Note((step("a", 2), step("b", 3))), Note(()), Note((step("a", 4),))]
    assert list(batches(notes)) == [("a", [(1,), (2,)]), ("b", [(3,)]), ("a", [(4,)])]


# The schema


def read(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_a_new_file_has_the_last_schema_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    prepare(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert read(path, "PRAGMA journal_mode") == [("wal",)]


def test_an_older_file_is_brought_up_to_the_last_schema_with_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO actions VALUES (1, 2.0, 'drain', 'desk', '', 'operator', 'screen')")
    later = (
        "ALTER TABLE actions ADD COLUMN reason TEXT NOT NULL DEFAULT 'none';",
        "UPDATE actions SET reason = upper(reason);",
    )

    prepare(path, (*MIGRATIONS, *later))
    prepare(path, (*MIGRATIONS, *later))

    assert read(path, "SELECT verb, reason FROM actions") == [("drain", "NONE")]
    assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 2,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    prepare(path)
    broken = "ALTER TABLE actions ADD COLUMN reason TEXT; UPDATE nowhere SET verb = 1;"

    with pytest.raises(JournalUnusable, match="nowhere"):
        prepare(path, (*MIGRATIONS, broken))

    assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert "reason" not in str(read(path, "SELECT sql FROM sqlite_master WHERE name = 'actions'"))


def test_a_newer_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    prepare(path, (*MIGRATIONS, "CREATE TABLE novelties (name TEXT);"))
    before = path.read_bytes()

    with pytest.raises(JournalUnusable, match=r"newer bullpen .* update bullpen") as raised:
        prepare(path)

    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"Dear diary, today I was left alone. " * 50, b"SQLite format 3\0" + b"\1" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    path.chmod(0o644)

    with pytest.raises(JournalUnusable, match="see to it") as raised:
        prepare(path)

    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["journal.db"]


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE sessions (cookie TEXT)")
    before = path.read_bytes()

    with pytest.raises(JournalUnusable, match="another program"):
        prepare(path)

    assert path.read_bytes() == before


# Failures


def error_of(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("words of SQLite")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_READONLY_DBMOVED,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_CORRUPT,
    ],
)
def test_what_comes_from_outside_is_named_with_a_remedy(code: int) -> None:
    fault = find_fault(error_of(code))
    assert fault is not None
    message = tell(fault, Path("/x/journal.db"))
    assert fault.words in message
    assert "/x" in message
    assert "{" not in message


@pytest.mark.parametrize(
    "error",
    [error_of(sqlite3.SQLITE_CONSTRAINT), error_of(sqlite3.SQLITE_ERROR), sqlite3.ProgrammingError(), KeyError()],
)
def test_our_own_mistakes_are_not_taken_for_a_full_disk(error: Exception) -> None:
    assert find_fault(error) is None
