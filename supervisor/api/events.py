"""What happened, in the past tense. Every event carries the ids of what it happened to."""

from __future__ import annotations

from msgspec import Struct

from supervisor.api.budgets import Budget
from supervisor.api.outcomes import FailureKind, Outcome
from supervisor.api.prompts import Route, Source
from supervisor.api.questions import Question, QuestionOutcome
from supervisor.api.states import InstanceState


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Something that has happened. All events have these fields."""

    at: float
    """Unix seconds."""
    instance: str = ""
    user: str = ""
    session: str = ""
    turn: str = ""
    client: str = ""


class InstanceChanged(Event, frozen=True, kw_only=True):
    """An instance is in another state, or has another note."""

    state: InstanceState
    note: str = ""


class SessionOpened(Event, frozen=True, kw_only=True):
    """A session is there that was not."""


class SessionClosed(Event, frozen=True, kw_only=True):
    """A session is off the books."""


class ContextLost(Event, frozen=True, kw_only=True):
    """The session's conversation was not found on disk; it goes on as a new one."""


class TurnQueued(Event, frozen=True, kw_only=True):
    """A prompt was accepted."""

    source: Source
    route: Route | None = None
    """Why its agent was chosen; None when the prompt named it."""


class TurnStarted(Event, frozen=True, kw_only=True):
    """A turn has begun: its prompt goes to a client."""

    waited: float
    """Seconds from submit to start."""
    acquisition: str
    """`hot`, `dormant` (its session's own client, asleep), `spare` or `cold`."""
    provider: str = ""
    """The provider that the turn runs with."""
    model: str = ""
    """The model that the turn was asked to run with; empty for the template's."""


class TurnPutBack(Event, frozen=True, kw_only=True):
    """The client it had begun on died before the prompt reached it: it waits again, before all others."""

    reason: str


class TurnFinished(Event, frozen=True, kw_only=True):
    """A turn has ended."""

    outcome: Outcome
    first_token: float | None = None
    """Seconds from its start to its first word; None when it had none."""


class TurnSuspended(Event, frozen=True, kw_only=True):
    """bullpen stops: the prompt is kept and runs when it starts again."""


class OfferSettled(Event, frozen=True, kw_only=True):
    """An operator, the template or a deadline decided about an interrupted turn: `replayed`, `dropped` or `expired`."""

    outcome: str
    replayed: str
    """The id of that turn; `turn` is the new one."""


class Restarted(Event, frozen=True, kw_only=True):
    """What an earlier run left behind has been taken over."""

    sessions: int
    waiting: int
    """Turns that wait on."""
    interrupted: int
    """Turns that were running when it ended."""
    orphans: int
    """Processes it left behind, ended since."""
    not_offered: int = 0
    """Those of the interrupted turns that no operator is asked about: calls of a tool, whose callers are gone, turns
    that an agent began by itself, and turns of agents that this run does not have."""


class QuestionAsked(Event, frozen=True, kw_only=True):
    """A turn waits for an answer."""

    question: Question


class QuestionSettled(Event, frozen=True, kw_only=True):
    """An earlier `QuestionAsked` was answered, has expired or was lost."""

    question: Question
    outcome: QuestionOutcome
    by: str = ""


class ApprovalLost(Event, frozen=True, kw_only=True):
    """A question that was settled as approved counts as lost after all: its call is not known to have run."""

    question: Question


class ClientStarted(Event, frozen=True, kw_only=True):
    """Connected. `how` is `spare`, `cold` or `resume`."""

    pid: int
    seconds: float
    how: str


class ClientDormant(Event, frozen=True, kw_only=True):
    """The client's processes are stopped, and their memory was handed back as far as the host allows."""

    before: int
    """Bytes of its process tree, as measured last before that."""
    after: int
    """Bytes, measured at once."""


class ClientWoken(Event, frozen=True, kw_only=True):
    """The client has given a sign of life after it was woken. Not published when it was woken before `ClientDormant`
    was."""

    slept: float
    """Seconds from being put to sleep to being woken."""
    seconds: float
    """Seconds from being woken to that sign."""


class ClientEnding(Event, frozen=True, kw_only=True):
    """The client is being ended, and has come to this step: interrupt, disconnect, terminate, kill or verify."""

    step: str
    reason: str


class ClientGone(Event, frozen=True, kw_only=True):
    """The process tree is empty."""

    reason: str
    kind: FailureKind | None = None
    """Set when it did not end in order."""
    seconds: float
    """Seconds from the first step of the ladder to the verified end."""
    left_over: int = 0
    """Processes that survived KILL. Anything but 0 is an alarm."""


class ClientFailed(Event, frozen=True, kw_only=True):
    """A client could not be started, or died."""

    message: str
    kind: FailureKind | None = None


class TemplateChanged(Event, frozen=True, kw_only=True):
    """A new version of the instance's template holds: every session has it from its next idle boundary on."""

    changed: tuple[str, ...]
    """Keys of the template, as files spell them; `prompt` for the body, `skills` also for what is in their files."""
    clients: int
    """That run an earlier version, and are replaced one after the other. 0 when only limits have changed."""


class TemplateRolled(Event, frozen=True, kw_only=True):
    """No client of the instance runs an earlier version any more."""

    clients: int
    """That were replaced."""
    seconds: float
    """Since the change."""


class TemplateBroken(Event, frozen=True, kw_only=True):
    """A file was saved that cannot run. What it was before goes on, where it was anything."""

    message: str
    """What is wrong, with file and line."""


class TemplateMended(Event, frozen=True, kw_only=True):
    """No mistake is left in the files of templates."""


class InstanceOpened(Event, frozen=True, kw_only=True):
    """A new template was found, and its instance is open."""


class InstanceClosed(Event, frozen=True, kw_only=True):
    """The template was removed, and the instance has neither turns nor clients left. Its sessions are kept on disk."""


class RecordLost(Event, frozen=True, kw_only=True):
    """Something cannot be kept in the journal, or read from it, because of a value in it. Nothing else is affected."""

    message: str


class ProviderParked(Event, frozen=True, kw_only=True):
    """A provider that prompts have asked for takes none for a while. The instance's own parks the instance."""

    provider: str
    kind: FailureKind
    until: float
    """Unix seconds."""


class BudgetNeared(Event, frozen=True, kw_only=True):
    """Four fifths of a ceiling are spent, or all of it (`budget.is_reached`); once for each and day."""

    budget: Budget


class ActionTaken(Event, frozen=True, kw_only=True):
    """An operator's verb, with the command that does the same."""

    verb: str
    detail: str = ""
    by: str = "operator"
    """Who: `operator`, or the name of a token."""
    via: str = "screen"
    """From where: `screen`, `command` or `http`."""


class EngineFailed(Event, frozen=True, kw_only=True):
    """Our own failure. The program will end with it after the terminal is restored."""

    message: str


class HookFailed(Event, frozen=True, kw_only=True):
    """An action of a hook or a schedule came to nothing, or was left out because too many wait. What fired it goes on.
    The ids are those of what fired it."""

    hook: str
    on: str
    """The name of the event that fired it."""
    message: str


class ScheduleDue(Event, frozen=True, kw_only=True):
    """A schedule runs."""

    schedule: str
    due_at: float
    """Unix seconds, for which it was declared."""
    missed: int = 0
    """How many of its runs fell due while bullpen did not run, or while the machine slept."""
    is_skipped: bool = False
    """Those are told, and nothing is run for them."""
