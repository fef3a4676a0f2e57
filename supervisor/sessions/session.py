"""One caller's conversation: its mailbox, its text, its totals, and the client it has or has not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.api.entries import Asked, Glimpse, Noticed, Replied, ToolCalled, ToolReturned, TurnEnded
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Expired, Failed, FailureKind, Interrupted, Outcome, Usage
from supervisor.api.prompts import Source
from supervisor.api.states import Server, SessionState, SlotState
from supervisor.api.turns import Offer
from supervisor.clock import Clock
from supervisor.config.output_schema import find_objection
from supervisor.conversation import Conversation
from supervisor.process.reports import (
    NEVER_WRITTEN,
    ClientEvent,
    Compacted,
    Result,
    Retrying,
    TextBlock,
    TextDelta,
    ToolEnded,
    ToolStarted,
    Trimmed,
    Voided,
)
from supervisor.sessions.backoff import Backoff
from supervisor.sessions.cost_meter import CostMeter
from supervisor.sessions.gist import Gist
from supervisor.sessions.held_conversation import HeldConversation
from supervisor.sessions.loop_detector import TurnLoops
from supervisor.sessions.mailbox import Mailbox
from supervisor.sessions.outcomes import REJECTIONS, find_rejection, name_failure, stopped, tell_rejection
from supervisor.sessions.place import Place
from supervisor.sessions.turn import Turn
from supervisor.text.cleaning import clean

if TYPE_CHECKING:
    from supervisor.journal import Journal

NO_RULES: frozenset[str] = frozenset()
"""One for all sessions that have none."""
_NAMELESS = ("", "unknown")
"""What the CLI calls a failure that it has no word for."""


def _tell_retry(retrying: Retrying) -> str:
    why = "" if retrying.reason in _NAMELESS else f" ({retrying.reason})"
    what = f"The API refused with {retrying.status}" if retrying.status else "The connection to the API was lost"
    delay = f"in {retrying.delay:.0f} s" if retrying.delay >= 1 else "at once"
    return f"{what}{why}; attempt {retrying.attempt} of {retrying.max_retries} {delay}"


class Session:
    """Durable and cheap. It outlives its clients; it has at most one at a time, and that one is its only writer."""

    __slots__ = (
        "_clock",
        "_text",
        "allowed",
        "allowed_once",
        "backoff",
        "client_end",
        "client_ended_at",
        "context_tokens",
        "context_window",
        "created_at",
        "drop_turns",
        "drops_unjudged",
        "gist",
        "has_failed",
        "has_history",
        "holds",
        "is_closing",
        "is_compacted_in_vain",
        "is_judged",
        "is_stalled",
        "key",
        "last_activity_at",
        "last_activity_steady",
        "leaves_none_behind",
        "mailbox",
        "meter",
        "note",
        "offer",
        "own",
        "questions",
        "rejections",
        "slot",
        "turns",
        "usage",
        "uuid",
        "workspace",
    )
    """A dictionary of so many names takes 1.7 KB (measured), and a host may know ten thousand sessions."""

    def __init__(self, key: SessionKey, clock: Clock, journal: Journal | None = None) -> None:
        self.key = key
        self.mailbox = Mailbox()
        self.slot: Place[Session] | None = None
        self.client_end = ""
        """Why its last client ended; empty before one has in this run."""
        self.client_ended_at: float | None = None
        """Unix seconds, of the same."""
        self.uuid = ""
        """Claude Code's id of the conversation; empty until a client was assigned."""
        self.workspace: Path | None = None
        self.has_history = False
        """There is something on disk to resume."""
        self.leaves_none_behind = False
        """A tool call without a session key: removed when its turn has ended (S1.2)."""
        self.is_closing = False
        """Taken off the books as soon as its client has gone; takes no more prompts."""
        self.allowed = NO_RULES
        """What "always in this session" has allowed (`rules.Rule.stored`)."""
        self.allowed_once: list[str] = []
        """Calls (`tool_calls.call_of`) approved while no client was there to be told: each counts once, and only for
        the turn that asked."""
        self.questions: list[str] = []
        """Ids of the open questions of its agent."""
        self.holds: list[str] = []
        """Ids of open questions about turns that wait: may they run beyond a budget?"""
        self.gist = Gist()
        self.usage = Usage()
        self.turns = 0
        self.note = ""
        self.has_failed = False
        """Its last turn failed."""
        self.backoff = Backoff()
        """After a client of it ended badly: the next start waits."""
        self.is_stalled = False
        """Its turn has given no sign of life for longer than `stall_after`."""
        self.created_at = clock.wall()
        self.last_activity_at = self.created_at
        self.last_activity_steady = clock.steady()
        self.offer: Offer | None = None
        """A turn that a restart interrupted, until an operator decides."""
        self.drop_turns: tuple[str, ...] = ()
        """Uuids of unanswered prompts, newest first: the next resume cuts them from the conversation."""
        self.drops_unjudged = False
        """The next resume also cuts what stands before the dropped prompts, back to the last words of the model."""
        self.is_judged = True
        """The model has replied to all that stands in the conversation. False after a turn that ended without its
        answer: the API may reject its words, or what a tool returned, with the next prompt."""
        self._clock = clock
        self._text = HeldConversation(key, clock, journal)
        self.meter = CostMeter()
        self.context_tokens = self.context_window = 0
        """Tokens of the conversation after its last reply, and what the model takes in; 0 while that is not known."""
        self.is_compacted_in_vain = False
        """The last compaction failed, or has not brought the conversation below `compactAt`."""
        self.rejections = 0
        """Prompts in a row that the API has rejected."""
        self.own: Turn | None = None
        """A turn that the CLI has begun by itself, while it runs; perhaps before one whose prompt is written."""

    def __repr__(self) -> str:
        return f"<Session {self.key} {self.status}, {self.mailbox!r}>"

    @property
    def is_blank(self) -> bool:
        """Whether nothing has ever happened in the session, and nothing is about to."""
        return self.is_at_rest and not self.has_history and self.turns == 0 and self.offer is None

    @property
    def is_at_rest(self) -> bool:
        """Whether the session has neither a client nor a turn."""
        return self.slot is None and self.mailbox.current is None and not len(self.mailbox)

    @property
    def is_answered(self) -> bool:
        """The model has answered in it: a conversation that is not on disk any more would be a loss."""
        return self.usage != Usage()

    @property
    def conversation(self) -> Conversation:
        """Read back from the journal where it is not at hand."""
        return self._text.get()

    def read(self) -> Conversation:
        """The conversation, for a reader: where the session is at rest it is held for as long as it is read."""
        conversation = self.conversation
        self.fade()
        return conversation

    def glimpse(self, count: int) -> Glimpse:
        """The last `count` entries, without reading back the whole conversation. Raises `JournalFailed`."""
        return self._text.glimpse(count)

    def fade(self) -> None:
        """Lets go of the conversation's text where the session is at rest. Readers keep theirs; the journal has it."""
        if self.is_at_rest:
            self._text.fade()

    @property
    def status(self) -> SessionState:
        """The one computed status: used by every list, header and answer."""
        slot = self.slot
        head = self.mailbox.head
        if (slot is not None and slot.state is SlotState.ASKING) or (
            head is not None and (head.is_detached or (head.is_held and self.running is None))
        ):
            return SessionState.ASKING
        if self.offer is not None and self.running is None:
            return SessionState.INTERRUPTED
        if self.running is not None:
            return SessionState.STALLED if self.is_stalled else SessionState.WORKING
        if len(self.mailbox):
            return SessionState.WAITING
        if self.has_failed:
            return SessionState.FAILED
        if slot is not None and slot.state is SlotState.DORMANT:
            return SessionState.DORMANT
        if slot is not None and (slot.is_free or slot.state is SlotState.WAKING):
            return SessionState.IDLE
        return SessionState.HIBERNATED if self.has_history else SessionState.NEW

    @property
    def running(self) -> Turn | None:
        """The turn whose words the client says now."""
        return self.own or self.mailbox.current

    @property
    def turns_to_stop(self) -> Iterator[Turn]:
        """The session's turns in the order in which a stop looks for one: those that run, then those that wait."""
        yield from filter(None, (self.own, self.mailbox.current))
        yield from self.mailbox

    @property
    def context_share(self) -> float | None:
        """How much of the model's context the conversation fills, from 0 to 1; None while that is not known."""
        return min(1.0, self.context_tokens / self.context_window) if self.context_window else None

    def text_of(self, turn: Turn) -> str:
        """What the agent has said in that turn so far."""
        opened = self.conversation.open_text if self.conversation.open_turn == turn.id else ""
        return "\n\n".join([*turn.blocks, *filter(None, [opened])])

    def adopt(self, slot: Place[Session]) -> None:
        """Makes that place the session's own; a place that does not resume brings its id and workspace along."""
        if self.slot is not None or slot.session is not None:
            raise AssertionError(f"{self!r} cannot take {slot!r}: one writer per session")
        self.slot, slot.session = slot, self
        self.uuid, self.workspace = slot.uuid, slot.workspace
        if not slot.resume:
            self.meter.reset()
            self.is_judged = True

    def begin(self) -> Turn:
        """Makes the head of the mailbox the running turn."""
        turn = self.mailbox.begin()
        turn.started_at, turn.started_steady = self._clock.wall(), self._clock.steady()
        turn.loops = TurnLoops()
        self._touch()
        if turn.prompt.source is not Source.ENGINE:
            self.gist.begin(turn.prompt.text, turn.prompt.user)
        self._add_prompt(turn, turn.started_at)
        return turn

    def begin_own(self, turn: Turn) -> None:
        """A turn that the CLI has begun by itself."""
        if self.own is not None:
            raise AssertionError(f"{self!r} runs {self.own!r} already")
        self.own = turn
        turn.started_at, turn.started_steady = self._clock.wall(), self._clock.steady()
        self._touch()
        self._add_prompt(turn, turn.started_at)

    def put_back(self) -> Turn:
        """Makes the running turn wait again, before all others."""
        turn = self.mailbox.put_back()
        turn.started_at = None
        return turn

    def hear(self, event: ClientEvent) -> None:
        """Appends a client's report to the transcript. Not for `Result`, which ends a turn (`settle`)."""
        now = self._clock.wall()
        turn = self.running
        turn_id = turn.id if turn else ""
        self._touch()
        match event:
            case TextDelta(text):
                self.is_judged = True
                if turn is not None and turn.first_text_steady is None:
                    turn.first_text_steady = self._clock.steady()
                self.conversation.stream(text, turn_id)
                self.gist.stream(text)
            case Voided():
                self.conversation.void_block()
                self.gist.void()
            case TextBlock(text):
                self.has_history = self.is_judged = True
                if turn is not None and turn.first_text_steady is None:
                    turn.first_text_steady = self._clock.steady()
                if turn is not None:
                    turn.blocks.append(text)
                self.gist.close(text)
                self.conversation.append(Replied(at=now, turn_id=turn_id, text=text))
            case ToolStarted(tool_use_id, tool, summary, detail):
                self.has_history = self.is_judged = True
                if turn is not None:
                    turn.has_used_tools = True
                self.conversation.append(
                    ToolCalled(
                        at=now,
                        turn_id=turn_id,
                        tool_use_id=tool_use_id,
                        tool=tool,
                        summary=summary,
                        detail=detail,
                    )
                )
            case ToolEnded(tool_use_id, text, is_error):
                self.conversation.append(
                    ToolReturned(at=now, turn_id=turn_id, tool_use_id=tool_use_id, text=text, is_error=is_error)
                )
            case Retrying() as retrying:
                self.conversation.void_block()  # an attempt that is repeated begins its reply again
                self.gist.void()
                self.notice(_tell_retry(retrying), is_warning=True)
            case Compacted(tokens_before, tokens_after):
                self.context_tokens = tokens_after or self.context_tokens
                if turn is not None:
                    turn.was_compacted = True
                self.notice(f"The conversation was compacted ({tokens_before:,} tokens before, {tokens_after:,} after)")
            case Trimmed(words):
                self.notice(words, is_warning=True)
            case _:
                pass

    def settle(self, turn: Turn, result: Result, output: Mapping[str, Any] | None = None) -> Outcome:
        """The outcome that a Result means. `output` is the JSON Schema that the answer to a prompt has to fit."""
        if result.terminal_reason != NEVER_WRITTEN:
            self.drop_turns, self.drops_unjudged = (
                (),
                False,
            )  # the conversation goes on from this turn: what was cut before it stays cut
        usage = Usage(
            result.usage.input_tokens,
            result.usage.output_tokens,
            result.usage.cache_tokens,
            self.meter.read(result.usage.cost_usd),
        )
        self.has_history = self.has_history or result.terminal_reason != NEVER_WRITTEN
        if not turn.is_command:
            self.context_tokens = result.context_tokens or self.context_tokens
        self.context_window = result.context_window or self.context_window
        text = "\n\n".join(turn.blocks)
        if result.was_aborted:
            self.conversation.end_block(self._clock.wall())
            return stopped(turn, "interrupted", text, usage)
        if result.is_error:
            kind, words = name_failure(result)
            if kind in REJECTIONS:
                words = self._cut_rejected(turn, kind, words)
            return Failed(kind, words, usage, text)
        if output is not None and turn.is_prompt and (objection := find_objection(output, result.structured)):
            # The CLI reports success where the model never gave the answer its form (measured).
            return Failed(FailureKind.OUTPUT_INVALID, objection, usage, text or result.text)
        return Done(result.structured or text or result.text, usage, self._clock.steady() - turn.started_steady)

    def _cut_rejected(self, turn: Turn, kind: FailureKind, words: str) -> str:
        """A rejected prompt would stay in the conversation, and every later turn would fail with it: the next resume
        cuts it. Returns what its caller is told."""
        if not turn.is_prompt:
            return words
        # Of a prompt that was sent twice, the first stands in a branch of the conversation that was left.
        uuids = (turn.uuid,) if turn.is_second_try else (turn.first_uuid, turn.uuid)
        self.drop_turns = tuple(dict.fromkeys(uuids))
        self.rejections += 1
        return tell_rejection(turn, kind, words, self.rejections)

    def may_be_rejected_for_another(self, turn: Turn, result: Result) -> bool:
        """The API has rejected a prompt that stands behind words it had not seen before: either may be the reason."""
        is_fresh = turn.is_prompt and not turn.is_second_try and not turn.stop_reason
        return is_fresh and not self.is_judged and find_rejection(result) is not None

    def leave_unjudged(self, turn: Turn) -> None:
        """The next resume begins behind the last words of the model, and the turn's prompt is sent again."""
        self.drop_turns, self.drops_unjudged = (turn.uuid,), True
        turn.rename()
        turn.is_second_try = True
        self.notice(
            "The API rejected the prompt together with what stands before it unanswered: it is sent again without that",
            is_warning=True,
        )

    def leave_unheard(self, turn: Turn) -> None:
        """Notes that a process got the prompt and never showed that it has read it. If it is in the CLI's transcript,
        the next resume cuts it; the turn is sent again with a new uuid."""
        self.drop_turns = (turn.uuid, *self.drop_turns)
        turn.rename()

    def finish(self, outcome: Outcome) -> Turn:
        """Ends the running turn: its one outcome is recorded here."""
        turn = self.mailbox.finish()
        self.conversation.end_block(self._clock.wall())
        self._record(turn, outcome)
        return turn

    def finish_own(self, outcome: Outcome) -> Turn:
        """Ends the turn that the CLI began by itself."""
        turn = self.own
        assert turn is not None, "it runs"
        self.conversation.end_block(self._clock.wall())
        self.own = None
        self._record(turn, outcome)
        return turn

    def drop(self, turn: Turn, outcome: Outcome) -> None:
        """Ends a turn that waits."""
        if not self.mailbox.withdraw(turn):
            raise AssertionError(f"{turn!r} does not wait in {self!r}")
        self._add_prompt(turn, turn.queued_at)
        self._record(turn, outcome)

    def forget_context(self) -> None:
        """The conversation is not on disk any more: the next client begins a new one."""
        self.has_history = False
        self.uuid = ""
        self.drop_turns, self.drops_unjudged = (), False
        self.context_tokens = 0
        self.meter.reset()
        self.notice("The conversation so far could not be resumed: the agent no longer remembers it", is_warning=True)

    def notice(self, text: str, *, is_warning: bool = False) -> None:
        self.conversation.append(
            Noticed(
                at=self._clock.wall(),
                turn_id=self.running.id if self.running else "",
                text=text,
                is_warning=is_warning,
            )
        )
        if is_warning:
            self.note = text

    def lose_client(self, why: str) -> None:
        """Notes that the session's client has ended. `why` is shown."""
        self.slot = None
        self.client_end, self.client_ended_at = why, self._clock.wall()

    def tell_broken(self, servers: Iterable[Server]) -> None:
        """Says in the conversation which MCP servers it goes on without."""
        for server in servers:
            if server.is_broken:
                self.notice(f"The MCP server {server}: its tools are missing", is_warning=True)

    def _add_prompt(self, turn: Turn, at: float) -> None:
        if turn.is_in_conversation:
            return
        turn.is_in_conversation = True
        if turn.is_revived and self._stands_in_conversation(turn):
            return
        prompt = turn.prompt
        self.conversation.append(
            Asked(at=at, turn_id=turn.id, text=clean(prompt.text), source=prompt.source, user=prompt.user)
        )

    def _stands_in_conversation(self, turn: Turn) -> bool:
        return any(isinstance(one, Asked) and one.turn_id == turn.id for one in self.conversation.entries)

    def _record(self, turn: Turn, outcome: Outcome) -> None:
        self._touch()
        if turn.is_in_conversation and turn.prompt.source is not Source.AGENT:
            self.allowed_once.clear()
        self.turns += 1
        if isinstance(outcome, Done | Failed | Interrupted):
            self.usage = self.usage + outcome.usage
        self.has_failed = isinstance(outcome, Failed | Expired)
        is_cut = turn.is_prompt and isinstance(outcome, Failed) and outcome.kind in REJECTIONS
        if turn.started_at is not None and not is_cut and not isinstance(outcome, Done):
            self.is_judged = False
        match outcome:
            case Failed(kind, message):
                self.note = f"{kind}: {message.splitlines()[0] if message else ''}"
            case Expired(message, _):
                self.note = f"refused: {message.removeprefix(f'{self.key.instance} is saturated: ')}"
            case Done():
                self.note = ""
                self.rejections = 0
            case _:
                self.note = outcome.reason
        turn.end(outcome)
        self.conversation.append(TurnEnded(at=self._clock.wall(), turn_id=turn.id, outcome=outcome))

    def _touch(self) -> None:
        self.is_stalled = False
        self.last_activity_at = self._clock.wall()
        self.last_activity_steady = self._clock.steady()
