"""Everything that can happen to an instance, as values. `Instance.handle` is the only place where they take effect.

A report or a record tells what has happened; a `Request` asks for something and has an answer. Each is logged, at DEBUG
and with ids alone, by the logger of this module: what was said never stands in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct

from supervisor.api.errors import JournalFailed, Saturated
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Outcome
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Question
from supervisor.api.states import Server
from supervisor.api.turns import Offer
from supervisor.config.templates import Template
from supervisor.permissions.requests import Verdict
from supervisor.process.connection import Connector
from supervisor.process.end_reason import EndReason
from supervisor.process.process_tree import TreeUsage
from supervisor.process.reports import ClientEvent, Result
from supervisor.sessions.place import Place
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT", covariant=True)


class Stimulus(Struct, frozen=True, eq=False):
    """What `Instance.handle` takes. No two are ever compared; `__repr__` is the same for all."""

    may_allow_a_step: ClassVar[bool] = True
    """False: nothing that a decision depends on changes with it, so the scheduler is not asked."""
    may_hold_back: ClassVar[bool] = False
    """True: it allows no step, but a session that could begin may have to wait, so places are counted again."""
    is_told: ClassVar[bool] = True
    """False: it comes so often that the instance's row is shown anew only for what has really changed."""

    def __repr__(self) -> str:
        """`ResultArrived desk-1`: its name, and the ids of what it is about."""
        values = [getattr(self, name) for name in self.__struct_fields__]
        return " ".join([type(self).__name__, *filter(None, map(_name, values))])


class Fact(Stimulus, frozen=True):
    """Something that has happened."""


class Request(Stimulus, Generic[AnswerT], frozen=True):
    """Something that is asked of an instance from outside. Raises `Refused` when it cannot be done."""


# What clients report


class ClientStarting(Fact, frozen=True):
    """The client's process is being started."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot


class ClientConnected(Fact, frozen=True):
    """The client can take a prompt, `seconds` after its place was reserved."""

    slot: Slot
    seconds: float


class ClientSpoke(Fact, frozen=True):
    """A part of its turn: text, tool calls, notes about the API."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    slot: Slot
    event: ClientEvent


class ResultArrived(Fact, frozen=True):
    """The turn that its prompt began has ended."""

    slot: Slot
    result: Result


class ClientRested(Fact, frozen=True):
    """The client is idle after its turn, and can take the next prompt."""

    slot: Slot


class OwnTurnBegan(Fact, frozen=True):
    """The CLI has begun a turn by itself. What the client says from here on belongs to it."""

    slot: Slot
    why: str


class OwnResultArrived(Fact, frozen=True):
    """The turn that the CLI began by itself has ended; None when a prompt was merged into it."""

    slot: Slot
    result: Result | None


class ServersChanged(Fact, frozen=True):
    """How its MCP servers are now."""

    slot: Slot
    servers: tuple[Server, ...]


class ClientSlept(Fact, frozen=True):
    """The client's processes are stopped; `measure` is what they use now."""

    slot: Slot
    measure: TreeUsage


class ClientWoke(Fact, frozen=True):
    """The client has given a sign of life, `seconds` after it was woken."""

    slot: Slot
    seconds: float


class ClientLeaving(Fact, frozen=True):
    """The client is being ended, and has come to this step of the ladder. The ladder goes on whatever becomes of
    this."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot
    step: str


class ClientLeft(Fact, frozen=True):
    """The client's process tree was verified to be empty, except for `left_over` processes."""

    slot: Slot
    seconds: float
    left_over: int


class QuestionPut(Fact, frozen=True):
    """The client's turn waits for an answer."""

    slot: Slot


class QuestionOver(Fact, frozen=True):
    """A question of the client's turn was answered, has expired or was lost."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot


class HoldOver(Fact, frozen=True):
    """The operator was asked whether a turn may run beyond a budget; `refused` says why not, in words."""

    session: Session
    turn: Turn
    refused: str


class QuestionCameBack(Fact, frozen=True):
    """A question whose client was freed has ended. `call` is what was asked for (`tool_calls.call_of`)."""

    session: Session
    question: Question
    call: str
    verdict: Verdict


# What the journal has done


class PromptRecorded(Fact, frozen=True):
    """The turn is durable, or was refused with that error."""

    session: Session
    turn: Turn
    error: JournalFailed | None


class StartLost(Fact, frozen=True):
    """No disk can hold the record that the turn begins: its prompt must not be written."""

    session: Session
    turn: Turn
    why: str


class OutcomeReplaced(Fact, frozen=True):
    """No disk can hold the turn's outcome: this one is recorded instead."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    turn: Turn
    outcome: Outcome


class OutcomeRecorded(Fact, frozen=True):
    """The turn's outcome is durable, so its caller may be told."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    turn: Turn


# What becomes of turns that a restart interrupted


class OfferChanged(Fact, frozen=True):
    """One of the session is up for a decision, to be replayed or dropped; None: it was decided."""

    session: Session
    offer: Offer | None


# What time and the host bring


class TimePassed(Fact, frozen=True):
    """Something may be due. `now` in steady seconds."""

    is_told: ClassVar[bool] = False

    now: float


class MemoryMeasured(Fact, frozen=True):
    """What the processes of these clients use was measured, as far as it could be. `HostChanged` follows, with the
    host's memory of the same moment."""

    slots: tuple[Slot, ...]

    may_allow_a_step: ClassVar[bool] = False


class QueueSampled(Fact, frozen=True):
    """A second is over: how many turns wait belongs to the trend."""

    may_allow_a_step: ClassVar[bool] = False


class HostChanged(Fact, frozen=True):
    """What all instances share has changed: a limit, the room for clients, or whether the journal can be written."""


class PlaceClaimed(Fact, frozen=True):
    """Another instance is to have the place of this idle client, or, where it may sleep, only its memory."""

    slot: Slot
    may_sleep: bool = False


# What is asked of it


class SubmitPrompt(Request[Turn], frozen=True):
    """Queues a prompt in its session, which is opened where there is none. It may begin from `PromptRecorded` on."""

    may_allow_a_step: ClassVar[bool] = False
    may_hold_back: ClassVar[bool] = True

    key: SessionKey
    prompt: Prompt
    leaves_none_behind: bool = False
    """A session that is opened for it is removed when its turn has ended."""
    turn_id: str = ""
    """Of the turn that it begins; empty when it has none yet."""
    held_for: str = ""
    """Why the operator is asked before it runs, in words; mostly empty."""


class QueueTurn(Request[None], frozen=True):
    """Queues a turn that an earlier run has left, or that sends an interrupted prompt again."""

    session: Session
    turn: Turn


class StopTurn(Request[bool], frozen=True):
    """Interrupts a turn that has begun, or takes one that waits out of its queue. False when it does neither."""

    session: Session
    turn: Turn
    reason: str


class RefusePrompt(Request[Saturated], frozen=True):
    """Counts a prompt for which there is no room. The answer is its refusal, with the pool's counts."""

    may_allow_a_step: ClassVar[bool] = False

    why: str


class WarmSession(Request[bool], frozen=True):
    """Resumes a hibernated session, or wakes its client, ahead of its next prompt, when there is room and no turn
    waits."""

    may_allow_a_step: ClassVar[bool] = False

    session: Session


class CompactSession(Request[Turn], frozen=True):
    """Queues the command that shortens the conversation."""

    may_allow_a_step: ClassVar[bool] = False
    may_hold_back: ClassVar[bool] = True

    session: Session


class CloseSession(Request[None], frozen=True):
    """Takes a session without turns off the books, once its client has gone."""

    session: Session


class ForgetSession(Request[None], frozen=True):
    """Ends everything in the session, takes it off the books, and keeps nothing of it on disk."""

    session: Session


class ForgetWords(Request[None], frozen=True):
    """Takes the user's words off the rows of sessions: those in which others speak as well stay."""

    may_allow_a_step: ClassVar[bool] = False

    user: str


class EndClient(Request[None], frozen=True):
    """Ends one client; what runs on it becomes interrupted."""

    slot: Slot
    reason: EndReason


class Pause(Request[None], frozen=True):
    """New prompts queue; what runs goes on."""


class Resume(Request[None], frozen=True):
    """Takes back pause, drain and stop."""


class Drain(Request[None], frozen=True):
    """Closes the intake; after `deadline` seconds what still runs is interrupted, and what waits is cancelled. Asked
    again: at once."""

    deadline: float
    before_end: bool = False
    """Bullpen ends in `deadline` seconds: nothing is interrupted or cancelled until then, also when asked again."""


class Kill(Request[None], frozen=True):
    """Cancels what waits, ends what runs and every process."""

    reason: EndReason = EndReason.KILLED


class Scale(Request[None], frozen=True):
    """Changes how many turns may run in parallel."""

    max_sessions: int


class Adjust(Request[None], frozen=True):
    """Changes one limit until the next restart. `most`: clients that this host holds. `configured`: the template as its
    file and the host's settings have it, for the value that is called `configured`."""

    limit: str
    value: str
    most: int
    configured: Template


class ApplyTemplate(Request[None], frozen=True):
    """Replaces the template by one that differs in limits only: the options of clients stay. `HostChanged` follows."""

    may_allow_a_step: ClassVar[bool] = False

    template: Template


class ReplaceTemplate(Request[None], frozen=True):
    """The template has changed: from the next idle boundary on clients have what `connector` starts them with.
    `missing`: what they go without, in words. `changed`: keys of the template, for the event that tells it."""

    template: Template
    connector: Connector
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class RemoveTemplate(Request[None], frozen=True):
    """The template was removed: what was accepted runs to its end, and nothing more is taken in."""


class RestoreTemplate(Request[None], frozen=True):
    """A removed template is in the folder again: the instance returns to the state that it had before."""


class BlameTemplate(Request[None], frozen=True):
    """What is wrong with the file as it was saved last; empty when nothing is. The version before goes on."""

    may_allow_a_step: ClassVar[bool] = False

    mistake: str


class ClearQueue(Request[int], frozen=True):
    """Cancels what waits in one session or in all (None). Answers how many."""

    session: Session | None


class Tidy(Request[bool], frozen=True):
    """Ends a client that was idle too long, and forgets sessions that are not used. `now` in steady seconds.

    True when a client is on its way out: the next one may follow when it has gone.
    """

    now: float


Handle = Callable[[Fact], None]
"""`Instance.handle`, as far as the parts of an instance may call it."""


def _name(value: object) -> str:
    match value:
        case Place() | Turn() | Question():
            return value.id
        case Session():
            return str(value.key)
        case SessionKey() | bool() | int() | float() | EndReason():
            return str(value)
        case None | str() | Prompt():
            return ""  # words, which may be a user's
        case tuple():
            return f"{len(value)}"
        case _:
            return type(value).__name__
