"""What the model knows: every accepted prompt, what was done to it, and what the feed has told about it since.

The book hears events in their order and holds the engine to the laws of one turn: queued once, started in order, ended
once, and only for a reason that the test itself has given.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from supervisor import events as past
from supervisor.client import EndReason
from supervisor.interface import Ticket
from supervisor.model import (
    Cancelled,
    Done,
    Expired,
    Failed,
    FailureKind,
    Interrupted,
    Outcome,
    Prompt,
    SessionKey,
    Source,
)
from supervisor.templates import Template

STATUS_KINDS = {
    401: FailureKind.AUTHENTICATION,
    429: FailureKind.RATE_LIMIT,
    500: FailureKind.API_ERROR,
}
NEVER = (EndReason.EVICTED, EndReason.IDLE, EndReason.SCALED, EndReason.ONE_CALL, EndReason.DIED)
"""Reasons that never end a turn: activity is never evicted."""


@dataclass(eq=False)
class Entry:
    """One accepted prompt."""

    ticket: Ticket
    prompt: Prompt
    number: int
    accepted_at: float
    """Seconds of the loop."""
    grounds: set[str] = field(default_factory=set)
    """Reasons the test has given for an end: words of an `Interrupted` or `Cancelled`."""
    client: str = ""
    """Where it was started; empty before."""
    outcome: Outcome | None = None

    @property
    def key(self) -> SessionKey:
        return self.ticket.key

    @property
    def rank(self) -> tuple[int, int]:
        return int(self.prompt.priority), self.number

    def __repr__(self) -> str:
        return f"<prompt {self.prompt.text!r} of {self.key}, turn {self.ticket.turn_id}>"


class Broken(AssertionError):
    """A law does not hold."""


class Book:
    def __init__(self, templates: Iterable[Template]) -> None:
        self.templates = {template.name: template for template in templates}
        self.entries: dict[str, Entry] = {}
        """By turn id."""
        self.by_text: dict[str, Entry] = {}
        self.waiting: dict[SessionKey, list[Entry]] = {}
        self.running: dict[SessionKey, Entry] = {}
        self.ended_turns: Counter[SessionKey] = Counter()
        """Of each session since it was opened."""
        self.started: Counter[str] = Counter()
        """Turns begun in each instance."""
        self.sessions: set[SessionKey] = set()
        self.clients_gone: set[str] = set()
        self.questions: dict[str, past.QuestionAsked] = {}
        self.settled: dict[str, past.QuestionSettled] = {}
        self.replied: set[str] = set()
        """Prompts that the fake agent has answered in full."""
        self.refused: dict[str, FailureKind] = {}
        """Prompts that the fake agent has answered with an error."""
        self.dead: set[str] = set()
        """Clients whose process the test has ended."""
        self.hung: set[str] = set()
        self.start_failures = 0
        self.calm_from: float | None = None
        """Since when every agent answers at once (loop seconds): from then on nothing may have to wait for long."""

    # What the test does

    def accept(self, ticket: Ticket, prompt: Prompt, now: float) -> Entry:
        entry = Entry(ticket, prompt, len(self.entries), now)
        self.entries[ticket.turn_id] = self.by_text[prompt.text] = entry
        return entry

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.outcome is None]

    def grant(self, reason: str, *, instance: str = "", key: SessionKey | None = None) -> None:
        """From now on what is open there may end with that reason."""
        for entry in self.open:
            if instance in ("", entry.key.instance) and key in (None, entry.key):
                entry.grounds.add(reason)

    # What the feed tells

    def hear(self, event: past.Event, now: float) -> None:
        key = SessionKey(event.instance, event.user, event.session)
        match event:
            case past.SessionOpened():
                _hold(key not in self.sessions, f"{key} was opened twice")
                self.sessions.add(key)
                self.ended_turns[key] = 0
            case past.SessionClosed():
                _hold(key in self.sessions, f"{key} was closed and not open")
                _hold(not self.waiting.get(key) and key not in self.running, f"{key} was closed with turns in it")
                self.sessions.discard(key)
            case past.TurnQueued(turn=turn):
                insort(self.waiting.setdefault(key, []), self.entries[turn], key=lambda entry: entry.rank)
            case past.TurnStarted(turn=turn, client=client):
                self._start(self.entries[turn], client)
            case past.TurnFinished(turn=turn, outcome=outcome):
                self._finish(self.entries[turn], outcome, now)
            case past.ClientGone(client=client, left_over=left_over):
                _hold(client not in self.clients_gone, f"{client} was gone twice")
                _hold(left_over == 0, f"{client} left {left_over} processes behind")
                self.clients_gone.add(client)
            case past.QuestionAsked(question=question):
                self.questions[question.id] = event
            case past.QuestionSettled(question=question):
                _hold(question.id in self.questions, f"question {question.id} was settled twice, or never asked")
                del self.questions[question.id]
                self.settled[question.id] = event
            case past.EngineFailed(message=message):
                raise Broken(f"the engine failed: {message}")
            case _:
                pass

    def _start(self, entry: Entry, client: str) -> None:
        key = entry.key
        _hold(key not in self.running, f"{entry} began while {self.running.get(key)} runs")
        queue = self.waiting.get(key, [])
        _hold(bool(queue) and queue[0] is entry, f"{entry} began out of order: {queue}")
        _hold(client not in self.clients_gone, f"{entry} began on {client}, which is gone")
        queue.pop(0)
        self.running[key] = entry
        self.started[key.instance] += 1
        entry.client = client

    def _finish(self, entry: Entry, outcome: Outcome, now: float) -> None:
        key = entry.key
        _hold(entry.outcome is None, f"{entry} ended twice: {entry.outcome}, {outcome}")
        _hold(entry.ticket.finished == outcome, f"{entry}: told {outcome}, its ticket says {entry.ticket.finished}")
        if self.running.get(key) is entry:
            del self.running[key]
        else:
            _hold(entry in self.waiting.get(key, []), f"{entry} ended and neither ran nor waited")
            self.waiting[key].remove(entry)
        entry.outcome = outcome
        self.ended_turns[key] += 1
        if why := self._find_fault(entry, outcome, now):
            raise Broken(f"{entry} ended as {outcome}: {why}")

    def _find_fault(self, entry: Entry, outcome: Outcome, now: float) -> str:
        """Why the outcome cannot be right; empty when it can."""
        text, template, has_started = entry.prompt.text, self.templates[entry.key.instance], bool(entry.client)
        match outcome:
            case Done():
                is_right = has_started and text in self.replied
            case Failed(FailureKind.CRASHED):
                is_right = has_started and entry.client in self.dead
            case Failed(FailureKind.START_FAILED):
                self.start_failures += 1
                is_right = not has_started
            case Failed(kind):
                is_right = has_started and self.refused.get(text) is kind
            case Interrupted(reason):
                return self._find_fault_in_interrupt(entry, reason, has_started)
            case Cancelled(reason):
                is_right = not has_started and reason in entry.grounds
            case Expired():
                limit = template.max_wait
                is_right = not has_started and entry.prompt.source is not Source.OPERATOR and limit is not None
                is_right = is_right and now - entry.accepted_at > limit
                if self.calm_from is not None and limit is not None:
                    is_right = is_right and entry.accepted_at + limit < self.calm_from + CALM
        return "" if is_right else "nothing that was done explains it"

    def _find_fault_in_interrupt(self, entry: Entry, reason: str, has_started: bool) -> str:
        if not has_started:
            return "it had not started"
        if reason in map(str, NEVER):
            return "activity is never evicted"
        if reason == EndReason.UNRESPONSIVE:
            return "" if entry.client in self.hung else "its client did not hang"
        template = self.templates[entry.key.instance]
        if "turnTimeout" in reason:
            return "" if template.turn_timeout is not None else "it has no time limit"
        if "stallTimeout" in reason:
            return "" if template.stall_timeout is not None else "it has no stall limit"
        return "" if reason in entry.grounds else "nobody asked for it"


CALM = 30.0
"""Seconds until the last trouble has passed: a process that hangs is given up after control, settle, disconnect,
terminate and kill deadlines (23 s together)."""


def _hold(law: bool, otherwise: str) -> None:
    if not law:
        raise Broken(otherwise)
