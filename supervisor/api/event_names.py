"""The names by which hooks know what happens, each with its fields (`event_fields`): one table, which validation,
`bullpen hooks test`, the door and `docs/hooks.md` read.

Every kind of event of the feed has a name here, or a reason in `UNNAMED`; a test walks them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from supervisor.api import events
from supervisor.api.automation import Payload, Value
from supervisor.api.budgets import AtCeiling, Budget, Measure, Scope
from supervisor.api.errors import UnknownTarget
from supervisor.api.event_fields import (
    COMMON,
    budget_fields,
    cut,
    outcome_fields,
    prompt_fields,
    question_fields,
    state_fields,
)
from supervisor.api.events import Event
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, FailureKind
from supervisor.api.prompts import Prompt, Source
from supervisor.api.questions import Question, QuestionKind, QuestionOutcome
from supervisor.api.states import InstanceState
from supervisor.text.values import in_words

_KEY: dict[str, Any] = {"instance": "helpdesk", "user": "ana", "session": "default"}
_TURN: dict[str, Any] = {**_KEY, "turn": "t-sample"}
_AT = 1_764_230_400.0
_SAMPLE_PROMPT = Prompt("helpdesk", "The printer is on fire.", user="ana")
SAMPLE_QUESTION = Question(
    id="q-sample",
    kind=QuestionKind.PERMISSION,
    key=SessionKey("helpdesk", "ana", "default"),
    turn_id="t-sample",
    client_id="helpdesk-1",
    tool="Bash",
    summary="rm -r build",
    detail="rm -r build",
    asked_at=_AT,
    expires_at=_AT + 3600,
)

_SAMPLE_BUDGET = Budget(Scope.USER, "ana", Measure.COST, 4.1, 5.0, AtCeiling.REFUSE)


class EventName(Struct, frozen=True, gc=False):
    """One name that a hook may have in its `on`."""

    name: str
    says: str
    """When it happens, in one sentence."""
    kind: type[Event] | None
    """What the feed tells it as; None for what happens before anything is told."""
    sample: Event
    """An example of it, for `bullpen hooks test` and the documentation."""
    read: Callable[[Any], Payload] = lambda event: {}
    """The fields that it has besides the common ones."""
    holds: Callable[[Any], bool] = lambda event: True
    """Which events of that kind it is."""
    has_prompt: bool = False
    """It is about a turn, and has the fields of its prompt."""

    @property
    def own_fields(self) -> tuple[str, ...]:
        """Besides the common ones."""
        prompt = ("text", "sender", "source", "priority") if self.has_prompt else ()
        return tuple(dict.fromkeys((*prompt, *self.read(self.sample))))

    @property
    def fields(self) -> tuple[str, ...]:
        return (*COMMON, *self.own_fields)

    def payload(
        self, event: Event, prompt: Prompt | None, *, id: str, depth: int = 0, is_sample: bool = False
    ) -> Payload:
        """What conditions look at, and what actions get."""
        found: dict[str, Value] = {
            "event": self.name,
            "id": id,
            "at": event.at,
            "instance": event.instance,
            "user": event.user,
            "session": event.session,
            "turn": event.turn,
            "client": event.client,
            "depth": depth,
            "sample": is_sample,
        }
        if self.has_prompt:
            found |= prompt_fields(prompt)
        found |= self.read(event)
        return {name: cut(value) for name, value in found.items()}


EVENT_NAMES: tuple[EventName, ...] = (
    EventName(
        "prompt:before",
        "A prompt has arrived and is not accepted yet: a gate may refuse or rewrite it here.",
        None,
        Event(at=_AT, **_TURN),
        has_prompt=True,
    ),
    EventName(
        "prompt:queued",
        "A prompt has been accepted: it is recorded, and runs when its turn comes.",
        events.TurnQueued,
        events.TurnQueued(at=_AT, source=Source.CALLER, **_TURN),
        has_prompt=True,
    ),
    EventName(
        "prompt:started",
        "A turn begins.",
        events.TurnStarted,
        events.TurnStarted(at=_AT, waited=0.2, acquisition="spare", **_TURN),
        lambda event: {"waited": round(event.waited, 3), "how": event.acquisition},
        has_prompt=True,
    ),
    EventName(
        "prompt:put-back",
        "A turn waits again, because its client died before the prompt reached it.",
        events.TurnPutBack,
        events.TurnPutBack(at=_AT, reason="the process ended before it was ready", **_TURN),
        lambda event: {"reason": event.reason},
        has_prompt=True,
    ),
    EventName(
        "prompt:after",
        "A turn has ended, in whatever way.",
        events.TurnFinished,
        events.TurnFinished(at=_AT, outcome=Done("It is out.", seconds=2.5), **_TURN),
        outcome_fields,
        has_prompt=True,
    ),
    EventName(
        "question:asked",
        "An agent asks for permission, or for a choice, and waits.",
        events.QuestionAsked,
        events.QuestionAsked(at=_AT, question=SAMPLE_QUESTION, client="helpdesk-1", **_TURN),
        question_fields,
    ),
    EventName(
        "question:settled",
        "A question was answered, has expired or was lost.",
        events.QuestionSettled,
        events.QuestionSettled(
            at=_AT, question=SAMPLE_QUESTION, outcome=QuestionOutcome.APPROVED, by="operator", **_TURN
        ),
        lambda event: {**question_fields(event), "outcome": event.outcome.value, "by": event.by},
    ),
    EventName(
        "question:lost",
        "A question that was approved counts as lost after all: its call is not known to have run.",
        events.ApprovalLost,
        events.ApprovalLost(at=_AT, question=SAMPLE_QUESTION, **_TURN),
        question_fields,
    ),
    EventName(
        "offer:settled",
        "It was decided what becomes of a turn that a restart interrupted.",
        events.OfferSettled,
        events.OfferSettled(at=_AT, outcome="replayed", replayed="t-before", **_TURN),
        lambda event: {"outcome": event.outcome, "replayed": event.replayed},
    ),
    EventName("session:opened", "A session begins.", events.SessionOpened, events.SessionOpened(at=_AT, **_KEY)),
    EventName("session:closed", "A session is over.", events.SessionClosed, events.SessionClosed(at=_AT, **_KEY)),
    EventName(
        "session:context-lost",
        "A session's conversation was not found on disk: it goes on as a new one.",
        events.ContextLost,
        events.ContextLost(at=_AT, **_KEY),
    ),
    EventName(
        "process:start",
        "A client is connected.",
        events.ClientStarted,
        events.ClientStarted(at=_AT, pid=4242, seconds=0.4, how="spare", client="helpdesk-1", **_KEY),
        lambda event: {"pid": event.pid, "seconds": round(event.seconds, 3), "how": event.how},
    ),
    EventName(
        "process:dormant",
        "An idle client was put to sleep: stopped, its memory handed back.",
        events.ClientDormant,
        events.ClientDormant(at=_AT, before=120_000_000, after=9_000_000, client="helpdesk-1", **_KEY),
        lambda event: {"before": event.before, "after": event.after},
    ),
    EventName(
        "process:woken",
        "A client that slept has given a sign of life after it was woken.",
        events.ClientWoken,
        events.ClientWoken(at=_AT, slept=900.0, seconds=0.18, client="helpdesk-1", **_KEY),
        lambda event: {"slept": round(event.slept, 3), "seconds": round(event.seconds, 3)},
    ),
    EventName(
        "process:crash",
        "A client could not be started, or died.",
        events.ClientFailed,
        events.ClientFailed(
            at=_AT, message="the process ended (exit code 1)", kind=FailureKind.CRASHED, client="helpdesk-1", **_TURN
        ),
        lambda event: {"message": event.message, "kind": event.kind.value if event.kind is not None else ""},
    ),
    EventName(
        "process:end",
        "Every process of a client has ended.",
        events.ClientGone,
        events.ClientGone(at=_AT, reason="idle", seconds=0.1, client="helpdesk-1", **_KEY),
        lambda event: {
            "reason": event.reason,
            "kind": event.kind.value if event.kind is not None else "",
            "seconds": round(event.seconds, 3),
            "left": event.left_over,
        },
    ),
    EventName(
        "instance:changed",
        "An instance is in another state: paused, drained, parked, running again.",
        events.InstanceChanged,
        events.InstanceChanged(at=_AT, state=InstanceState.DRAINED, instance="helpdesk"),
        state_fields,
    ),
    EventName(
        "instance:parked",
        "A pool has stopped itself: the credentials were refused, a limit is reached, or clients crash in a row.",
        events.InstanceChanged,
        events.InstanceChanged(at=_AT, state=InstanceState.PARKED, note="rate-limit", instance="helpdesk"),
        state_fields,
        lambda event: event.state is InstanceState.PARKED,
    ),
    EventName(
        "instance:opened",
        "There is a new template, and an agent made from it.",
        events.InstanceOpened,
        events.InstanceOpened(at=_AT, instance="helpdesk"),
    ),
    EventName(
        "instance:closed",
        "A template was removed, and nothing of its agent runs any more.",
        events.InstanceClosed,
        events.InstanceClosed(at=_AT, instance="helpdesk"),
    ),
    EventName(
        "template:changed",
        "A new version of a template holds.",
        events.TemplateChanged,
        events.TemplateChanged(at=_AT, changed=("prompt", "tools"), clients=2, instance="helpdesk"),
        lambda event: {"changed": ", ".join(event.changed), "clients": event.clients},
    ),
    EventName(
        "template:rolled",
        "No client runs an earlier version of the template any more.",
        events.TemplateRolled,
        events.TemplateRolled(at=_AT, clients=2, seconds=4.0, instance="helpdesk"),
        lambda event: {"clients": event.clients, "seconds": round(event.seconds, 3)},
    ),
    EventName(
        "template:broken",
        "A template was saved that cannot run; what it was before goes on.",
        events.TemplateBroken,
        events.TemplateBroken(at=_AT, message="helpdesk.md:3: maxTurn is not a key; did you mean maxTurns?"),
        lambda event: {"message": event.message},
    ),
    EventName(
        "template:mended",
        "No mistake is left in the files of templates.",
        events.TemplateMended,
        events.TemplateMended(at=_AT),
    ),
    EventName(
        "budget:warning",
        "Four fifths of what may be spent are spent, or all of it.",
        events.BudgetNeared,
        events.BudgetNeared(at=_AT, budget=_SAMPLE_BUDGET, user="ana"),
        budget_fields,
    ),
    EventName(
        "provider:parked",
        "A provider that a prompt has asked for takes no turns for a while. Of its own one, the instance parks.",
        events.ProviderParked,
        events.ProviderParked(
            at=_AT, provider="second", kind=FailureKind.RATE_LIMIT, until=_AT + 60, instance="helpdesk"
        ),
        lambda event: {"provider": event.provider, "kind": event.kind.value, "until": event.until},
    ),
    EventName(
        "bullpen:restarted",
        "bullpen has started and taken over what an earlier run left.",
        events.Restarted,
        events.Restarted(at=_AT, sessions=3, waiting=1, interrupted=1, orphans=0),
        lambda event: {"sessions": event.sessions, "waiting": event.waiting, "interrupted": event.interrupted},
    ),
    EventName(
        "operator:acted",
        "An operator did something.",
        events.ActionTaken,
        events.ActionTaken(at=_AT, verb="pause", instance="helpdesk"),
        lambda event: {"verb": event.verb, "detail": event.detail, "by": event.by, "via": event.via},
    ),
    EventName(
        "record:lost",
        "Something cannot be kept in the journal, or read from it.",
        events.RecordLost,
        events.RecordLost(at=_AT, message="an entry of helpdesk/ana/default cannot be recorded", **_KEY),
        lambda event: {"message": event.message},
    ),
    EventName(
        "schedule:due",
        "A schedule runs.",
        events.ScheduleDue,
        events.ScheduleDue(at=_AT, schedule="morning", due_at=_AT),
        lambda event: {"schedule": event.schedule, "due": event.due_at, "missed": event.missed},
        lambda event: not event.is_skipped,
    ),
)

UNNAMED: Mapping[type[Event], str] = {
    events.TurnSuspended: "bullpen is stopping then, and hooks with it; the next start tells what it takes over.",
    events.ClientEnding: "It is one step of several; `process:end` tells the result.",
    events.EngineFailed: "The program ends with it: nothing runs any more.",
    events.HookFailed: "A hook on failing hooks would feed itself; `bullpen hooks recent` lists them.",
}
"""Events that no hook hears, and why."""

BY_NAME: Mapping[str, EventName] = {one.name: one for one in EVENT_NAMES}


def names_of(event: Event) -> tuple[EventName, ...]:
    """All hook names of the event, such as `prompt:after`."""
    return tuple(one for one in EVENT_NAMES if one.kind is type(event) and one.holds(event))


def find_event(name: str) -> EventName:
    """Raises `UnknownTarget` with the name that is most like it."""
    if (found := BY_NAME.get(name)) is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BY_NAME)}"
        raise UnknownTarget(f"{in_words(name)} is no event; {hint}")
    return found


def sample_of(name: EventName, *, id: str) -> Payload:
    prompt = _SAMPLE_PROMPT if name.has_prompt else None
    return name.payload(name.sample, prompt, id=id, is_sample=True)
