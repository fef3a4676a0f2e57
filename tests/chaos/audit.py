"""The reckoning: the journal against what callers were told, the transcripts, the endpoint's record, the processes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.rehearsal import MessagesRequest
from tests.chaos.books import Books
from tests.chaos.callers import REJECTION
from tests.chaos.ledger import WORD, Ledger, Place
from tests.chaos.template_file import read_version
from tests.chaos.transcripts import SUMMARY, Exchange, Transcript, make_exchanges, read_transcript

TOLD_LATE = 0.5
"""Seconds after a turn has begun until that is told, at most; a start before that was in an earlier life."""

OUTCOMES = ("done", "failed", "interrupted", "cancelled", "expired")


@dataclass
class Reckoning:
    """The lists hold a line for each finding; all of them must be empty."""

    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    spoiled: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    unhooked: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def must_be_empty(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "leaked processes": self.leaked,
            "transcripts that disagree with the journal": self.disagreeing,
            "prompts rejected for another's fault": self.spoiled,
            "answers with words of another turn": self.crossed,
            "turns on an earlier template": self.outdated,
            "turns that hooks have not heard of": self.unhooked,
            "failures of the supervisor": self.failures,
        }

    @property
    def is_clean(self) -> bool:
        return not any(self.must_be_empty.values())


def examine(ledger: Ledger, books: Books, record: list[MessagesRequest], config_dir: Path) -> Reckoning:
    reckoning = Reckoning(
        accepted=sum(account.is_acknowledged for account in ledger.accounts.values()), failures=list(ledger.failures)
    )
    reckoning.outcomes.update(entry.outcome for entry in books.entries if entry.outcome)
    reckoning.lost += find_lost(ledger, books)
    reckoning.spoiled += find_spoiled(ledger)
    reckoning.crossed += find_crossed(books)
    reckoning.outdated += find_outdated(ledger, record)
    reckoning.duplicated += find_told_twice(ledger, books)
    reckoning.duplicated += find_done_twice(books)
    reckoning.duplicated += find_sent_twice(books, record)
    reckoning.disagreeing += find_strangers(ledger, record)
    reckoning.disagreeing += find_forgotten(ledger, books, record)
    for place in sorted({entry.place for entry in books.entries}):
        uuid = books.uuids.get(place, "")
        transcript = read_transcript(config_dir, uuid) if uuid else Transcript()
        repeated = find_asked_twice(books, transcript.exchanges)
        reckoning.duplicated += [f"{place} ({uuid}) {finding}" for finding in repeated]
        findings = compare(ledger, books, place, transcript)
        reckoning.disagreeing += [f"{place} ({uuid or 'never begun'}): {finding}" for finding in findings]
    return reckoning


# What hooks were told


def find_unhooked(books: Books, hooked: Path, journal: Path) -> Iterator[str]:
    """A hook on the end of a turn is told at least once, under one id, with what the journal says, however often the
    supervisor was killed; what had not been done at the end is kept for the next start."""
    with closing(sqlite3.connect(journal)) as connection:
        kept = {row[0] for row in connection.execute("SELECT turn_id FROM hook_runs")}
    told: dict[str, set[str]] = {}
    by_id: dict[str, str] = {}
    for line in hooked.read_text("utf-8").splitlines() if hooked.exists() else ():
        found = json.loads(line)
        told.setdefault(found["turn"], set()).add(found["outcome"])
        if by_id.setdefault(found["id"], line) != line:
            yield f"{found['id']} was told in two ways"
    for entry in books.entries:
        if entry.outcome and entry.turn not in kept and entry.outcome not in told.get(entry.turn, ()):
            yield f"{entry.turn}, which is {entry.outcome}"


# What callers were told


def find_lost(ledger: Ledger, books: Books) -> Iterator[str]:
    """Acknowledged or recorded, and without an outcome at the end."""
    known = {entry.turn for entry in books.entries}
    for account in ledger.accounts.values():
        if account.turn not in known:
            yield f"{account.turn} ({account.handed.word} of {account.handed.place}) is not in the journal"
    for entry in books.entries:
        if not entry.outcome:
            yield f"{entry.turn} ({entry.word} of {entry.place}) has no outcome"


def find_told_twice(ledger: Ledger, books: Books) -> Iterator[str]:
    """A turn has one outcome. What its ticket has told stands for ever; the feed shows what is, so it may show
    something else in the next life, but nothing twice in one."""
    recorded = {entry.turn: entry.outcome for entry in books.entries}
    for account in ledger.accounts.values():
        times = Counter((life, teller) for life, teller, _ in account.outcomes)
        told = {outcome for _, teller, outcome in account.outcomes if teller == "outcome"}
        outcome = recorded.get(account.turn, "")
        if told - {outcome} or any(number > 1 for number in times.values()):
            yield f"{account.turn} ({account.handed.word}) was told as {account.outcomes}, the journal says {outcome!r}"


def find_spoiled(ledger: Ledger) -> Iterator[str]:
    """Rejected although the prompt itself is fine: an earlier one, which the API did not take, was left in the
    conversation."""
    for account in ledger.accounts.values():
        is_rejected = any(REJECTION in reason for reason in account.reasons)
        if is_rejected and REJECTION not in account.handed.text:
            yield f"{account.turn} ({account.handed.word} of {account.handed.place}): {account.reasons[0]}"


def find_crossed(books: Books) -> Iterator[str]:
    """What a caller got holds no word of another turn, unless it asked for what was said before."""
    for entry in books.entries:
        strangers = set(WORD.findall(entry.answered)) - {entry.word}
        if strangers and "[[recall]]" not in entry.asked:
            yield f"{entry.turn} ({entry.word} of {entry.place}) was answered with {sorted(strangers)}"


# What the model was sent


def find_sent_twice(books: Books, record: list[MessagesRequest]) -> Iterator[str]:
    """No conversation asks the same prompt twice, whatever became of the first time."""
    for number, request in enumerate(record):
        exchanges = make_exchanges(request.turns)
        yield from (f"request {number} {finding}" for finding in find_asked_twice(books, exchanges))


def find_strangers(ledger: Ledger, record: list[MessagesRequest]) -> Iterator[str]:
    """No request contains the words of two sessions."""
    for number, request in enumerate(record):
        places = {ledger.handed[word].place for word in WORD.findall(request.text)}
        if len(places) > 1:
            yield f"request {number} contains words of {', '.join(map(str, sorted(places)))}"


def find_outdated(ledger: Ledger, record: list[MessagesRequest]) -> Iterator[str]:
    """What a turn sends last has the version of the template that held when it last began, or a later one. One whose
    client was killed before it sent anything has sent nothing since."""
    sent = {
        word: (request.at, read_version(request.text)) for request in record for word in WORD.findall(request.prompt)
    }
    for turn, (began, version) in ledger.begun.items():
        account = ledger.accounts.get(turn)
        at, found = sent.get(account.handed.word, (0.0, version)) if account is not None else (0.0, version)
        if at >= began - TOLD_LATE and found < version:
            yield f"{turn} began with version {version} and sent version {found}"


def find_forgotten(ledger: Ledger, books: Books, record: list[MessagesRequest]) -> Iterator[str]:
    """What was done before is in every later request of the session, or was summed up by the CLI.

    A turn that was rejected and never begun again has no start in the journal: the requests say what was first.
    """
    first_sent: dict[str, int] = {}
    for number, request in enumerate(record):
        word = next(iter(WORD.findall(request.prompt)), None)
        if word is not None:
            first_sent.setdefault(word, number)
    for number, request in enumerate(record):
        if SUMMARY in request.text:
            continue
        word = next(iter(WORD.findall(request.prompt)), None)
        if word is None:
            continue
        entries = books.of(ledger.handed[word].place)
        words = [entry.word for entry in entries]
        if word not in words:
            continue
        before = [
            entry
            for entry in entries[: words.index(word)]
            if entry.outcome == "done" and first_sent.get(entry.word, -1) < number
        ]
        sent = set(WORD.findall(request.text))
        if forgotten := [entry.word for entry in before if entry.word not in sent and not books.is_forgiven(entry)]:
            yield f"request {number}, for {word}, has forgotten {forgotten}"


# What stands in the transcripts


def find_asked_twice(books: Books, exchanges: list[Exchange]) -> Iterator[str]:
    """A replay takes the place of what was not answered. What was, although the supervisor died before it could record
    that, stays: whoever has it replayed asks again, knowingly."""
    for word, times in Counter(exchange.word for exchange in exchanges).items():
        earlier = [exchange for exchange in exchanges if exchange.word == word][:-1]
        is_asked_again = word in books.replayed and all(word in exchange.reply for exchange in earlier)
        if times > 1 and not is_asked_again:
            yield f"asks {word} {times} times"


def find_done_twice(books: Books) -> Iterator[str]:
    """A replay counts as the same work."""
    for word, times in Counter(entry.word for entry in books.entries if entry.outcome == "done").items():
        if times > 1:
            yield f"{word} is done {times} times"


def compare(ledger: Ledger, books: Books, place: Place, transcript: Transcript) -> Iterator[str]:
    """One conversation against the journal: all that is done, in order, with its answer, and no word of others."""
    entries = books.of(place)
    done = [entry.word for entry in entries if entry.outcome == "done" and not books.is_forgiven(entry)]
    asked = transcript.asked
    if transcript.is_summed_up:
        done = [word for word in done if word in asked]
    if missing := [word for word in done if word not in asked]:
        yield f"done, and not in the transcript: {missing}"
    if unanswered := [word for word in done if word in asked and word not in transcript.reply_to(word)]:
        yield f"done, and without its answer: {unanswered}"
    present = [word for word in done if word in asked]
    # The last place of a prompt that was asked again is the one that counts.
    if (order := [word for word in reversed(dict.fromkeys(reversed(asked))) if word in done]) != present:
        yield f"in the order {order}, the journal says {present}"
    if strangers := {word for word in transcript.mentions if ledger.handed[word].place != place}:
        yield f"contains words of others: {sorted(strangers)}"
