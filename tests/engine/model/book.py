"""What the model knows: every prompt, what was done to it, and what the feed has told about it since.

The book hears events in their order and holds the engine to the laws of one turn: queued in order, started in order,
ended once, and only for a reason that the test itself has given. It outlives supervisors: `reopen` tells it what the
journal has kept of a life that was lost.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable

from supervisor.api import events as past
from supervisor.api.engine import Ticket
from supervisor.api.errors import Refused
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Cancelled, Done, Expired, Failed, FailureKind, Interrupted, Outcome, outcome_word
from supervisor.api.prompts import Prompt, Source
from supervisor.config.templates import Template
from supervisor.process.end_reason import EndReason
from supervisor.recovery.takeover import INTERRUPTED
from supervisor.testing import Written
from tests.engine.model.entry import COME_BACK, Entry, is_of
from tests.engine.model.kept import Kept, KeptTurn

STATUS_KINDS = {
    401: FailureKind.AUTHENTICATION,
    429: FailureKind.RATE_LIMIT,
    500: FailureKind.API_ERROR,
}
NEVER = (
    EndReason.EVICTED,
    EndReason.HIBERNATED,
    EndReason.CLOSED,
    EndReason.STRAY,
    EndReason.IDLE,
    EndReason.SCALED,
    EndReason.ONE_CALL,
    EndReason.DIED,
    EndReason.DETACHED,
    EndReason.RECYCLED,
    EndReason.ROLLED,
    EndReason.NEVER_WOKE,
    EndReason.SWAPPED,
)
"""Reasons that never end a turn: activity is never evicted."""


class Broken(AssertionError):
    """A law does not hold."""


class Book:
    def __init__(self, templates: Iterable[Template]) -> None:
        self.templates = {template.name: template for template in templates}
        self.entries: dict[str, Entry] = {}
        """By turn id."""
        self.by_text: dict[str, Entry] = {}
        """The last one with that text."""
        self.waiting: dict[SessionKey, list[Entry]] = {}
        self.running: dict[SessionKey, Entry] = {}
        self.latest_on: dict[str, Entry] = {}
        """Client → what was started there last, in this life."""
        self.offers: dict[SessionKey, str] = {}
        """Session → id of the interrupted turn on offer."""
        self.ended_turns: Counter[SessionKey] = Counter()
        self.started: Counter[str] = Counter()
        """Turns begun in each instance, in this life."""
        self.starts_of_user: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        """(Instance, user) → numbers of the starts that were theirs, in this life."""
        self.left: set[tuple[str, str]] = set()
        """(Instance, user) of those who had no session any more since their last start, in this life."""
        self.last_used: dict[str, int] = {}
        """Client → number of the event that last made it idle, in this life."""
        self._heard = 0
        self.sessions: set[SessionKey] = set()
        self.clients_gone: set[str] = set()
        self.questions: dict[str, past.QuestionAsked] = {}
        self.settled: dict[str, past.QuestionSettled] = {}
        self.replied: set[tuple[str, str]] = set()
        """(client, words) that the fake agent has answered in full."""
        self._owners: dict[str, SessionKey] = {}
        """Conversation id → the session that was the first to write there."""
        self.refused: defaultdict[tuple[str, str], set[FailureKind]] = defaultdict(set)
        """(client, words) that the fake agent has answered with errors, each of them reason enough."""
        self.dead: set[str] = set()
        """Clients whose process the test has ended."""
        self.hung: set[str] = set()
        self.cancelled: set[str] = set()
        """Clients whose task was cancelled from outside."""
        self.swollen: set[str] = set()
        """Clients that used more than they ever may."""
        self.bad_ends = 0
        self.longest_wait = {name: template.max_wait for name, template in self.templates.items()}
        """The shortest `maxWait` that an instance ever had; None when it has none."""
        self.is_calm = False
        """Every agent answers at once and nothing expires: from now on whatever was accepted is done or fails."""

    # What the test does

    def accept(self, ticket: Ticket, prompt: Prompt, now: float) -> Entry:
        """Somebody holds a ticket. Whether it was accepted is told by that."""
        entry = Entry(ticket.turn_id, ticket.key, prompt, len(self.entries), now, ticket)
        self._take_in(entry)
        return entry

    def replay(self, ticket: Ticket, now: float) -> Entry:
        """Somebody has an interrupted turn sent again. Until that is recorded the offer stands as well."""
        replayed = self.offers[ticket.key]
        prompt = self.entries[replayed].prompt
        entry = Entry(ticket.turn_id, ticket.key, prompt, len(self.entries), now, ticket, replays=replayed)
        self._take_in(entry)
        return entry

    def _take_in(self, entry: Entry) -> None:
        self.entries[entry.turn_id] = self.by_text[entry.prompt.text] = entry
        insort(self.waiting.setdefault(entry.key, []), entry, key=lambda one: one.rank)

    @property
    def open(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.is_open]

    def grant(self, reason: str, *, instance: str = "", key: SessionKey | None = None) -> None:
        """From now on what is open there may end with that reason."""
        for entry in self.open:
            if instance in ("", entry.key.instance) and key in (None, entry.key):
                entry.grounds.add(reason)

    def take_out_refused(self) -> None:
        """What could not be recorded, as its caller was told."""
        for entry in self.entries.values():
            if entry.error is not None and not entry.is_accepted and entry.outcome is None:
                self._refuse(entry)

    def _refuse(self, entry: Entry) -> None:
        entry.is_refused = True
        if entry in self.waiting.get(entry.key, []):
            self.waiting[entry.key].remove(entry)

    def note_written(self, written: Written) -> None:
        """A process was given something to work on."""
        if has_come_back := written.text.endswith(COME_BACK):
            # Of a turn that was written to another client before; that one may have begun others meanwhile.
            back = [one for one in self.entries.values() if one.is_delivered and written.client_id in one.clients[1:]]
            entry = back[-1] if back else None
        else:
            entry = self.by_text.get(written.text)
        if entry is None or written.client_id not in entry.clients:
            raise Broken(f"{written} was written, and no such turn had begun there: {entry}")
        owner = self._owners.setdefault(written.session_uuid, entry.key)
        _hold(owner == entry.key, f"{entry} was written into a conversation of {owner}")
        was_read = entry.is_delivered and entry.written_to not in self.hung
        _hold(has_come_back or not was_read, f"{entry} was written a second time")
        entry.is_delivered, entry.written_to = True, written.client_id

    # A restart

    def reopen(self, kept: Kept) -> None:
        """A new life begins with what the journal has kept of the last one."""
        self._hold_promises(kept)
        self.waiting, self.running, self.latest_on, self.offers = {}, {}, {}, {}
        self.sessions, self.ended_turns = set(kept.ended), Counter(kept.ended)
        for of_one_life in (
            self.started,
            self.clients_gone,
            self.questions,
            self.dead,
            self.hung,
            self.starts_of_user,
            self.left,
            self.last_used,
        ):
            of_one_life.clear()
        self.cancelled.clear()
        self.swollen.clear()
        self.replied.clear()
        self.refused.clear()
        self.bad_ends = 0
        for entry in self.entries.values():
            self._reopen(entry, kept.turns.get(entry.turn_id))
        interrupted = [turn for turn in kept.turns.values() if turn.is_interrupted and not turn.leaves_none_behind]
        for turn_id, key in [*kept.offers.items(), *((turn.id, turn.key) for turn in interrupted)]:
            self.offers[key] = turn_id  # the latest of a session stands

    def _reopen(self, entry: Entry, kept: KeptTurn | None) -> None:
        entry.ticket, entry.is_suspended, entry.is_put_back, entry.is_queued, entry.clients = (
            None,
            False,
            False,
            False,
            [],
        )
        if kept is None:
            entry.is_refused = entry.is_refused or entry.outcome is None
        elif kept.is_interrupted:
            entry.outcome = Interrupted(INTERRUPTED)
        elif kept.is_waiting:
            entry.outcome = entry.error = None
            entry.is_delivered = False
            insort(self.waiting.setdefault(entry.key, []), entry, key=lambda one: one.rank)

    def _hold_promises(self, kept: Kept) -> None:
        for turn_id in kept.turns:
            _hold(turn_id in self.entries, f"the journal has a turn {turn_id} that nobody asked for")
        for entry in self.entries.values():
            found = kept.turns.get(entry.turn_id)
            if found is None:
                _hold(entry.is_forgotten or not entry.is_accepted, f"{entry} was accepted and is not in the journal")
                continue
            is_refused = isinstance(entry.error, Refused) and not entry.is_accepted
            _hold(not is_refused, f"{entry} was refused ({entry.error}) and is in the journal: {found}")
            if entry.told is not None:
                _hold(found.outcome == outcome_word(entry.told), f"{entry}: told {entry.told}, kept {found}")
            if found.outcome:
                _hold(entry.outcome is not None, f"{entry} was not told to have ended, kept is {found}")
            _hold(
                not (found.is_waiting and entry.is_delivered and entry.written_to not in self.hung),
                f"{entry} was given to a process, and would be sent again: {found}",
            )

    # What the feed tells

    def hear(self, event: past.Event, now: float) -> None:
        key = SessionKey(event.instance, event.user, event.session)
        self._heard += 1
        is_use = isinstance(event, past.ClientStarted) or (
            # What never began has used no client, though its session has one.
            isinstance(event, past.TurnFinished) and not isinstance(event.outcome, Cancelled | Expired)
        )
        if is_use and event.client:
            self.last_used[event.client] = self._heard
        match event:
            case past.SessionOpened():
                _hold(key not in self.sessions, f"{key} was opened twice")
                self.sessions.add(key)
                self.ended_turns[key] = 0
            case past.SessionClosed():
                _hold(key in self.sessions, f"{key} was closed and not open")
                self._refuse_unqueued(key)
                _hold(not self.waiting.get(key) and key not in self.running, f"{key} was closed with turns in it")
                self.sessions.discard(key)
                if not any((one.instance, one.user) == (key.instance, key.user) for one in self.sessions):
                    self.left.add((key.instance, key.user))
                for entry in self.entries.values():
                    entry.is_forgotten = entry.is_forgotten or (entry.key == key and not entry.is_open)
                self.offers.pop(key, None)
            case past.TurnQueued(turn=turn):
                entry = self.entries[turn]
                _hold(entry.is_open, f"{entry} was queued after its end")
                entry.is_queued = True
            case past.TurnStarted(turn=turn, client=client):
                self._start(self.entries[turn], client)
            case past.TurnPutBack(turn=turn):
                self._put_back(self.entries[turn])
            case past.TurnFinished(turn=turn, outcome=outcome):
                self._finish(self.entries[turn], outcome, now)
            case past.TurnSuspended(turn=turn):
                entry = self.entries[turn]
                _hold(entry in self.waiting.get(key, []), f"{entry} was suspended and did not wait")
                self.waiting[key].remove(entry)
                entry.is_suspended = True
            case past.ContextLost():
                # With the conversation what the first in line was given is lost: it is sent again, into a new one.
                for entry in self.waiting.get(key, [])[:1]:
                    entry.is_delivered = False
            case past.OfferSettled(turn=turn, outcome=outcome, replayed=replayed):
                self._settle_offer(key, turn, outcome, replayed, now)
            case past.ClientFailed():
                self.bad_ends += 1
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
        while queue and queue[0] is not entry and not queue[0].is_queued:
            # One that is not recorded yet holds up those behind it: so it was refused.
            self._refuse(queue[0])
        _hold(bool(queue) and queue[0] is entry, f"{entry} began out of order: {queue}")
        _hold(client not in self.clients_gone, f"{entry} began on {client}, which is gone")
        queue.pop(0)
        self.running[key] = self.latest_on[client] = entry
        self.started[key.instance] += 1
        self.starts_of_user[key.instance, key.user].append(self._heard)
        self.left.discard((key.instance, key.user))
        entry.is_put_back = False
        entry.clients.append(client)

    def _refuse_unqueued(self, key: SessionKey) -> None:
        for entry in tuple(self.waiting.get(key, [])):
            if not entry.is_queued:
                self._refuse(entry)

    def _put_back(self, entry: Entry) -> None:
        _hold(self.running.get(entry.key) is entry, f"{entry} was put back and did not run")
        del self.running[entry.key]
        entry.is_put_back = True
        self.waiting.setdefault(entry.key, []).insert(0, entry)

    def _settle_offer(self, key: SessionKey, turn: str, outcome: str, replayed: str, now: float) -> None:
        before = self.entries[replayed]
        _hold(isinstance(before.outcome, Interrupted), f"{before} was on offer, and had ended as {before.outcome}")
        if self.offers.get(key) == replayed:  # else it is an earlier one, whose place a later one has taken
            del self.offers[key]
        if outcome == "replayed" and turn not in self.entries:  # one that a template has replayed by itself
            self._take_in(Entry(turn, key, before.prompt, len(self.entries), now, replays=replayed, is_accepted=False))

    def _finish(self, entry: Entry, outcome: Outcome, now: float) -> None:
        key = entry.key
        _hold(entry.outcome is None, f"{entry} ended twice: {entry.outcome}, {outcome}")
        if entry.ticket is not None:
            said = entry.ticket.finished
            _hold(said == outcome, f"{entry}: told {outcome}, its ticket says {said}")
        was_running = self.running.get(key) is entry
        if was_running:
            del self.running[key]
        else:
            _hold(entry in self.waiting.get(key, []), f"{entry} ended and neither ran nor waited")
            self.waiting[key].remove(entry)
        entry.outcome = outcome
        self.ended_turns[key] += 1
        if why := self._find_fault(entry, outcome, now, was_running=was_running):
            raise Broken(f"{entry} ended as {outcome}: {why}")

    def _find_fault(self, entry: Entry, outcome: Outcome, now: float, *, was_running: bool) -> str:
        """Why the outcome cannot be right; empty when it can."""
        limit = self.longest_wait[entry.key.instance]
        match outcome:
            case Done():
                is_right = was_running and self._was_answered(entry)
            case Failed(FailureKind.CRASHED):
                is_right = was_running and entry.clients[-1] in self.dead
            case Failed(FailureKind.START_FAILED):
                is_right = not was_running
            case Failed(FailureKind.CRASH_LOOP):
                is_right = not was_running and self.bad_ends > 1
            case Failed(FailureKind.OUT_OF_MEMORY):
                is_right = was_running and entry.clients[-1] in self.swollen
            case Failed(FailureKind.STALLED, reason):
                is_right = was_running and "stallTimeout" in reason
            case Failed(kind):
                is_right = was_running and self._was_refused(entry, kind)
            case Interrupted(reason):
                # A turn whose question waits without a client has begun, and is interrupted where it waits.
                return self._find_fault_in_interrupt(entry, reason)
            case Cancelled(reason):
                is_right = not was_running and reason in entry.grounds
            case Expired():
                is_right = not was_running and entry.prompt.source is not Source.OPERATOR and limit is not None
                is_right = is_right and now - entry.accepted_at > (limit or 0) and not self.is_calm
        return "" if is_right else "nothing that was done explains it"

    def _was_answered(self, entry: Entry) -> bool:
        return any(client == entry.clients[-1] and is_of(entry, words) for client, words in self.replied)

    def _was_refused(self, entry: Entry, kind: FailureKind) -> bool:
        return any(
            client == entry.clients[-1] and is_of(entry, words) and kind in found
            for (client, words), found in self.refused.items()
        )

    def _find_fault_in_interrupt(self, entry: Entry, reason: str) -> str:
        if not entry.clients:
            return "it had not started"
        if reason in map(str, NEVER):
            return "activity is never evicted"
        if reason == EndReason.UNRESPONSIVE:
            return "" if entry.clients[-1] in self.hung else "its client did not hang"
        if reason == EndReason.CANCELLED:
            return "" if entry.clients[-1] in self.cancelled else "nobody cancelled it"
        if "turnTimeout" in reason:
            is_limited = self.templates[entry.key.instance].turn_timeout is not None
            return "" if is_limited else "it has no time limit"
        return "" if reason in entry.grounds else "nobody asked for it"


def _hold(law: bool, otherwise: str) -> None:
    if not law:
        raise Broken(otherwise)
