"""Everything that can happen to an instance, as values. `Instance.handle` is the only place where they take effect.

A report or a record tells what has happened; a `Request` asks for something and has an answer. Each is logged, at DEBUG
and with ids alone, by the logger of this module: what was said never stands in the log.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from supervisor.api.errors import JournalFailed, Saturated
from supervisor.api.types import Outcome, Prompt, Question, Server, SessionKey
from supervisor.config.templates import Template
from supervisor.permissions.requests import Verdict
from supervisor.process.connection import Connector
from supervisor.process.end_reason import EndReason
from supervisor.process.process_tree import Measure
from supervisor.process.reports import ClientEvent, Result
from supervisor.sessions.place import Place
from supervisor.sessions.session import Session
from supervisor.sessions.slot import Slot
from supervisor.sessions.turn import Turn

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT", covariant=True)


@dataclass(slots=True, eq=False, repr=False)
class Stimulus:
    """What `Instance.handle` takes. No two are ever compared, and nothing writes into one: neither `__eq__` nor what
    keeps a frozen value from being changed is made for each, since every start makes them all. `__repr__` is the same
    for all. One without fields of its own needs no decorator."""

    may_allow_a_step: ClassVar[bool] = True
    """False: nothing that a decision depends on changes with it, so the scheduler is not asked."""
    may_hold_back: ClassVar[bool] = False
    """True: it allows no step, but a session that could begin may have to wait, so places are counted again."""
    is_told: ClassVar[bool] = True
    """False: it comes so often that the instance's row is shown anew only for what has really changed."""

    def __repr__(self) -> str:
        """`ResultArrived desk-1`: its name, and the ids of what it is about."""
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return " ".join([type(self).__name__, *filter(None, map(_name, values))])


class Fact(Stimulus):
    """Something that has happened."""

    __slots__ = ()


class Request(Stimulus, Generic[AnswerT]):
    """Something that is asked of an instance from outside. Raises `Refused` when it cannot be done."""

    __slots__ = ()


# What clients report


@dataclass(slots=True, eq=False, repr=False)
class ClientStarting(Fact):
    """Its process is being started."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot


@dataclass(slots=True, eq=False, repr=False)
class ClientConnected(Fact):
    """It can take a prompt, `seconds` after its place was reserved."""

    slot: Slot
    seconds: float


@dataclass(slots=True, eq=False, repr=False)
class ClientSpoke(Fact):
    """A part of its turn: text, tool calls, notes about the API."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    slot: Slot
    event: ClientEvent


@dataclass(slots=True, eq=False, repr=False)
class ResultArrived(Fact):
    """The turn that its prompt began has ended."""

    slot: Slot
    result: Result


@dataclass(slots=True, eq=False, repr=False)
class ClientRested(Fact):
    """It is idle after that turn, and can take the next prompt."""

    slot: Slot


@dataclass(slots=True, eq=False, repr=False)
class OwnTurnBegan(Fact):
    """The CLI has begun a turn by itself. What the client says from here on belongs to it."""

    slot: Slot
    why: str


@dataclass(slots=True, eq=False, repr=False)
class OwnResultArrived(Fact):
    """The turn that the CLI began by itself has ended; None when a prompt was merged into it."""

    slot: Slot
    result: Result | None


@dataclass(slots=True, eq=False, repr=False)
class ServersChanged(Fact):
    """How its MCP servers are now."""

    slot: Slot
    servers: tuple[Server, ...]


@dataclass(slots=True, eq=False, repr=False)
class ClientSlept(Fact):
    """Its processes are stopped, and use that now."""

    slot: Slot
    measure: Measure


@dataclass(slots=True, eq=False, repr=False)
class ClientWoke(Fact):
    """It has given a sign of life, `seconds` after it was woken."""

    slot: Slot
    seconds: float


@dataclass(slots=True, eq=False, repr=False)
class ClientEnding(Fact):
    """It is on its way out, at that step of the ladder, which goes on whatever becomes of this."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot
    step: str


@dataclass(slots=True, eq=False, repr=False)
class ClientGone(Fact):
    """Its process tree was verified to be empty, but for `left_over` processes."""

    slot: Slot
    seconds: float
    left_over: int


@dataclass(slots=True, eq=False, repr=False)
class QuestionPut(Fact):
    """Its turn waits for an answer."""

    slot: Slot


@dataclass(slots=True, eq=False, repr=False)
class QuestionOver(Fact):
    """One question of its turn was answered, has expired or was lost."""

    may_allow_a_step: ClassVar[bool] = False

    slot: Slot


@dataclass(slots=True, eq=False, repr=False)
class HoldOver(Fact):
    """The operator was asked whether a turn may run beyond a budget; `refused` says why not, in words."""

    session: Session
    turn: Turn
    refused: str


@dataclass(slots=True, eq=False, repr=False)
class QuestionCameBack(Fact):
    """A question whose client was freed has ended. `call` is what was asked for (`tool_calls.call_of`)."""

    session: Session
    question: Question
    call: str
    verdict: Verdict


# What the journal has done


@dataclass(slots=True, eq=False, repr=False)
class PromptRecorded(Fact):
    """The turn is durable, or was refused with that error."""

    session: Session
    turn: Turn
    error: JournalFailed | None


@dataclass(slots=True, eq=False, repr=False)
class StartLost(Fact):
    """No disk can hold the record that the turn begins: its prompt must not be written."""

    session: Session
    turn: Turn
    why: str


@dataclass(slots=True, eq=False, repr=False)
class OutcomeReplaced(Fact):
    """No disk can hold the turn's outcome: this one is recorded instead."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    turn: Turn
    outcome: Outcome


@dataclass(slots=True, eq=False, repr=False)
class OutcomeRecorded(Fact):
    """The turn's outcome is durable, so its caller may be told."""

    may_allow_a_step: ClassVar[bool] = False
    is_told: ClassVar[bool] = False

    turn: Turn


# What time and the host bring


@dataclass(slots=True, eq=False, repr=False)
class TimePassed(Fact):
    """Something may be due. `now` in steady seconds."""

    is_told: ClassVar[bool] = False

    now: float


class MemoryMeasured(Fact):
    """Every client's processes were measured. `HostChanged` follows when the host's memory is known as well."""

    __slots__ = ()

    may_allow_a_step: ClassVar[bool] = False


class HostChanged(Fact):
    """What all instances share has changed: a limit, the room for clients, or whether the journal can be written."""

    __slots__ = ()


@dataclass(slots=True, eq=False, repr=False)
class PlaceClaimed(Fact):
    """Another instance is to have the place of this idle client, or, where it may sleep, only its memory."""

    slot: Slot
    may_sleep: bool = False


# What is asked of it


@dataclass(slots=True, eq=False, repr=False)
class SubmitPrompt(Request[Turn]):
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


@dataclass(slots=True, eq=False, repr=False)
class QueueTurn(Request[None]):
    """Queues a turn that an earlier run has left, or that sends an interrupted prompt again."""

    session: Session
    turn: Turn


@dataclass(slots=True, eq=False, repr=False)
class StopTurn(Request[bool]):
    """Interrupts a turn that has begun, or takes one that waits out of its queue. False when it does neither."""

    session: Session
    turn: Turn
    reason: str


@dataclass(slots=True, eq=False, repr=False)
class RefusePrompt(Request[Saturated]):
    """Counts a prompt for which there is no room. The answer is its refusal, with the pool's counts."""

    may_allow_a_step: ClassVar[bool] = False

    why: str


@dataclass(slots=True, eq=False, repr=False)
class WarmSession(Request[bool]):
    """Resumes a hibernated session, or wakes its client, ahead of its next prompt, when there is room and no turn
    waits."""

    may_allow_a_step: ClassVar[bool] = False

    session: Session


@dataclass(slots=True, eq=False, repr=False)
class CompactSession(Request[Turn]):
    """Queues the command that shortens the conversation."""

    may_allow_a_step: ClassVar[bool] = False
    may_hold_back: ClassVar[bool] = True

    session: Session


@dataclass(slots=True, eq=False, repr=False)
class CloseSession(Request[None]):
    """Takes a session without turns off the books, once its client has gone."""

    session: Session


@dataclass(slots=True, eq=False, repr=False)
class ForgetSession(Request[None]):
    """Ends everything in the session, takes it off the books, and keeps nothing of it on disk."""

    session: Session


@dataclass(slots=True, eq=False, repr=False)
class EndClient(Request[None]):
    """Ends one client; what runs on it becomes interrupted."""

    slot: Slot
    reason: EndReason


class Pause(Request[None]):
    """New prompts queue; what runs goes on."""

    __slots__ = ()


class Resume(Request[None]):
    """Takes back pause, drain and stop."""

    __slots__ = ()


@dataclass(slots=True, eq=False, repr=False)
class Drain(Request[None]):
    """Closes the intake; what still runs after `deadline` seconds is interrupted. Asked again: at once."""

    deadline: float


@dataclass(slots=True, eq=False, repr=False)
class Kill(Request[None]):
    """Cancels what waits, ends what runs and every process."""

    reason: EndReason = EndReason.KILLED


@dataclass(slots=True, eq=False, repr=False)
class Scale(Request[None]):
    """Changes how many turns may run in parallel."""

    max_sessions: int


@dataclass(slots=True, eq=False, repr=False)
class Adjust(Request[None]):
    """Changes one limit until the next restart. `most`: clients that this host holds. `configured`: the template as its
    file and the host's settings have it, for the value that is called `configured`."""

    limit: str
    value: str
    most: int
    configured: Template


@dataclass(slots=True, eq=False, repr=False)
class ApplyTemplate(Request[None]):
    """The same template with other limits; what is compiled into clients does not differ. `HostChanged` follows."""

    may_allow_a_step: ClassVar[bool] = False

    template: Template


@dataclass(slots=True, eq=False, repr=False)
class ReplaceTemplate(Request[None]):
    """The template has changed: from the next idle boundary on clients have what `connector` starts them with.
    `missing`: what they go without, in words. `changed`: keys of the template, for the event that tells it."""

    template: Template
    connector: Connector
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class RemoveTemplate(Request[None]):
    """The template was removed: what was accepted runs to its end, and nothing more is taken in."""

    __slots__ = ()


class RestoreTemplate(Request[None]):
    """It is back: the instance is what it was before."""

    __slots__ = ()


@dataclass(slots=True, eq=False, repr=False)
class BlameTemplate(Request[None]):
    """What is wrong with the file as it was saved last; empty when nothing is. The version before goes on."""

    may_allow_a_step: ClassVar[bool] = False

    mistake: str


@dataclass(slots=True, eq=False, repr=False)
class ClearQueue(Request[int]):
    """Cancels what waits in one session or in all (None). Answers how many."""

    session: Session | None


@dataclass(slots=True, eq=False, repr=False)
class Tidy(Request[bool]):
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
