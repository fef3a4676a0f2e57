"""The reckoning: the journal against what callers were told, the transcripts, the endpoint's record, the processes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from supervisor.processes import MARK
from tests.chaos.books import Entry, read_books, read_uuids
from tests.chaos.director import Run
from tests.chaos.ledger import Place
from tests.chaos.transcripts import WORD, read_transcript

OUTCOMES = ("done", "failed", "interrupted", "cancelled", "expired")


@dataclass
class Reckoning:
    """The lists hold a line for each finding; all of them must be empty."""

    outcomes: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def must_be_empty(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "leaked processes": self.leaked,
            "transcripts that disagree with the journal": self.disagreeing,
            "failures of the supervisor": self.failures,
        }

    @property
    def is_clean(self) -> bool:
        return not any(self.must_be_empty.values())


def examine(run: Run) -> Reckoning:
    """Ends what it finds leaked, after it has counted it."""
    reckoning = Reckoning(failures=[*run.ledger.failures, *run.overtime])
    books = read_books(run)
    reckoning.outcomes.update(entry.outcome for entry in books if entry.outcome)
    reckoning.leaked = [end_process(process) for process in find_clients(run.plan.folder)]
    reckoning.lost = find_lost(run, books)
    reckoning.duplicated = find_told_twice(run, books)
    reckoning.disagreeing = find_strangers(run)
    by_place: defaultdict[Place, list[Entry]] = defaultdict(list)
    for entry in books:
        by_place[entry.place].append(entry)
    uuids = read_uuids(run)
    for place, entries in by_place.items():
        examine_session(run, reckoning, entries, uuids.get(place, ""))
    return reckoning


# What callers were told


def find_lost(run: Run, books: list[Entry]) -> list[str]:
    """Acknowledged, and without an outcome at the end."""
    known = {entry.turn: entry for entry in books}
    lost = []
    for account in run.ledger.accounts.values():
        entry = known.get(account.turn)
        if entry is None or not entry.outcome:
            how = "is not in the journal" if entry is None else "has no outcome"
            lost.append(f"{account.turn} ({account.handed.word} of {account.handed.place}) {how}")
    return lost


def find_told_twice(run: Run, books: list[Entry]) -> list[str]:
    """A turn has one outcome: whoever is told it is told the same, and only once by each teller."""
    known = {entry.turn: entry.outcome for entry in books}
    twice = []
    for account in run.ledger.accounts.values():
        tellers = Counter(teller for _, teller, _ in account.outcomes)
        told = {outcome for _, _, outcome in account.outcomes} | (
            {known[account.turn]} if account.turn in known else set()
        )
        if len(told - {""}) > 1 or any(number > 1 for number in tellers.values()):
            twice.append(
                f"{account.turn} ({account.handed.word}): the journal says {known.get(account.turn)}, "
                f"told were {account.outcomes}"
            )
    return twice


# What was said and sent


def examine_session(run: Run, reckoning: Reckoning, entries: list[Entry], uuid: str) -> None:
    """One conversation: its turns in the journal's order against its transcript, and what the model was sent."""
    place = entries[0].place
    transcript = read_transcript(run.config_dir, uuid)
    asked = Counter(transcript.asked)
    reckoning.duplicated += [f"{word} was asked {times} times in {place}" for word, times in asked.items() if times > 1]
    done = [entry.word for entry in entries if entry.outcome == "done"]
    reckoning.duplicated += [f"{word} of {place} is done {n} times" for word, n in Counter(done).items() if n > 1]
    expected = [word for word in done if not is_forgiven(run, word, place)]
    missing = [word for word in expected if word not in asked]
    unanswered = [word for word in expected if word in asked and word not in transcript.reply_to(word)]
    order = [word for word in transcript.asked if word in expected]
    wrong = []
    if missing:
        wrong.append(f"done, and not in the transcript: {missing}")
    if unanswered:
        wrong.append(f"done, and without its answer: {unanswered}")
    if not missing and order != expected:
        wrong.append(f"in the order {order}, the journal says {expected}")
    strangers = {word for word in transcript.mentions if run.ledger.handed[word].place != place}
    if strangers:
        wrong.append(f"contains words of others: {sorted(strangers)}")
    reckoning.disagreeing += [f"{place} ({uuid or 'no transcript'}): {finding}" for finding in wrong]


def find_strangers(run: Run) -> list[str]:
    """No request may contain the words of two sessions."""
    found = []
    for number, request in enumerate(run.record):
        places = {run.ledger.handed[word].place for word in WORD.findall(request.text)}
        if len(places) > 1:
            found.append(f"request {number} contains words of {', '.join(map(str, sorted(places)))}")
    return found


def is_forgiven(run: Run, word: str, place: Place) -> bool:
    """The session said, after this turn was accepted, that its context was lost."""
    order = [account.handed.word for account in run.ledger.accounts.values()]
    return any(word in order[:accepted] for accepted in run.ledger.losses.get(place, ()))


# What is left running


def find_clients(folder: Path) -> list[psutil.Process]:
    """Every process of a client, re-parented or not, whose configuration lies in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            environ = process.environ()
            is_ours = MARK in environ and Path(environ.get("CLAUDE_CONFIG_DIR", "/")).is_relative_to(folder)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end_process(process: psutil.Process) -> str:
    """Gives what it was."""
    try:
        description = f"{process.pid} {process.status()} {' '.join(process.cmdline())[:120]}"
        process.kill()
    except psutil.Error as error:
        return f"{process.pid} ({error})"
    return description


# The table


def print_table(run: Run, reckoning: Reckoning, seconds: float) -> None:
    rows: dict[str, int] = {"accepted": len(run.ledger.accounts)}
    rows |= {outcome: reckoning.outcomes[outcome] for outcome in OUTCOMES}
    width = max(map(len, reckoning.must_be_empty))
    for name, number in rows.items():
        print(f"{name:<{width}}  {number:>5}")
    for name, findings in reckoning.must_be_empty.items():
        print(f"{name:<{width}}  {len(findings):>5}  {'(must be 0)' if not findings else 'MUST BE 0'}")
    happened = ", ".join(f"{number} {name}" for name, number in sorted(run.faults.items()))
    print(f"faults: {happened or 'none'}; {len(run.ledger.refused)} prompts refused")
    print(f"{len(run.record)} requests, {run.ledger.decided.total()} offers decided, {seconds:.0f} s")
    for name, findings in reckoning.must_be_empty.items():
        for finding in findings:
            print(f"{name}: {finding}")
