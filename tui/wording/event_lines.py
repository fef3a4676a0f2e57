"""Every event as one line and the role it is written in."""

from __future__ import annotations

import time

from supervisor import (
    ActionTaken,
    ApprovalLost,
    BudgetNeared,
    ClientDormant,
    ClientEnding,
    ClientFailed,
    ClientGone,
    ClientStarted,
    ClientWoken,
    ContextLost,
    Done,
    EngineFailed,
    Event,
    Expired,
    Failed,
    HookFailed,
    InstanceChanged,
    InstanceClosed,
    InstanceOpened,
    OfferSettled,
    Outcome,
    ProviderParked,
    QuestionAsked,
    QuestionOutcome,
    QuestionSettled,
    RecordLost,
    Restarted,
    ScheduleDue,
    SessionClosed,
    SessionKey,
    SessionOpened,
    TemplateBroken,
    TemplateChanged,
    TemplateMended,
    TemplateRolled,
    TurnFinished,
    TurnPutBack,
    TurnQueued,
    TurnStarted,
    TurnSuspended,
    outcome_word,
)
from tui.wording.budgets import budget_line
from tui.wording.format import bytes_short, duration, first_line, role, some, tool_name

Line = tuple[str, str]
"""(text, role)."""


def line_of(event: Event) -> Line:
    """What happened, to what, in one line; the role is one of the table's (`ok`, `warn`, `error`, `dim`, …)."""
    text, kind = _sentence(event)
    return f"{_subject(event)}  {text}".strip(), kind


EFFECTIVE = frozenset(
    ["interrupt", "pause", "resume", "drain", "kill", "kill-client", "close", "replay", "drop", "hibernate", "compact"]
)
"""Actions that lead to an event which tells the same happening."""


def is_told_by_its_effect(event: Event) -> bool:
    return isinstance(event, ActionTaken) and event.verb in EFFECTIVE


def thing_of(event: Event) -> object | None:
    """What an event is a step of, so that its line takes the place of the step before: a turn, a question, the sleep
    or the end of a client. None for what stands for itself."""
    match event:
        case TurnQueued() | TurnStarted() | TurnFinished() | TurnPutBack() | TurnSuspended() if event.turn:
            return ("turn", event.turn)
        case QuestionAsked(question=question) | QuestionSettled(question=question) | ApprovalLost(question=question):
            return ("question", question.id)
        case ClientDormant() | ClientWoken():
            return ("sleep of client", event.client)
        case ClientEnding() | ClientGone():
            return ("end of client", event.client)
    return None


def session_of(event: Event) -> SessionKey | None:
    """The session that an event is about."""
    if event.instance and event.session:
        return SessionKey(event.instance, event.user, event.session)
    return None


def _subject(event: Event) -> str:
    if isinstance(event, ClientStarted | ClientDormant | ClientWoken | ClientEnding | ClientGone | ClientFailed):
        return event.client
    return "/".join(name for name in (event.instance, event.user, event.session) if name)


def _sentence(event: Event) -> Line:
    match event:
        case InstanceChanged(state=state, note=note):
            return f"is {state.value}" + (f": {first_line(note)}" if note else ""), role(state)
        case InstanceOpened():
            return "opened: a new template", "ok"
        case InstanceClosed():
            return "closed: its template was removed; its sessions are kept on disk", "dim"
        case TemplateChanged(changed=changed, clients=clients):
            what = f"template changed: {', '.join(changed)}"
            return (f"{what}; {some(clients, 'client')} to replace" if clients else what), "accent"
        case TemplateRolled(clients=clients, seconds=seconds):
            return f"template rolled out: {some(clients, 'client')} replaced in {duration(seconds)}", "ok"
        case TemplateBroken(message=message):
            return f"template not used: {first_line(message)}", "error"
        case TemplateMended():
            return "templates: no mistake is left", "ok"
        case SessionOpened():
            return "session opened", "dim"
        case SessionClosed():
            return "session closed", "dim"
        case ContextLost():
            return "conversation not found on disk; goes on as a new one", "error"
        case TurnQueued(source=source, route=route):
            chosen = f"; chosen: {first_line(route.reason)}" if route is not None else ""
            return f"prompt queued ({source.value}){chosen}", "dim"
        case TurnStarted(waited=waited, acquisition=acquisition, provider=provider, model=model):
            chosen = " ".join(filter(None, ("" if provider == "default" else provider, model)))
            return f"turn started after {duration(waited)} ({acquisition}){f', {chosen}' if chosen else ''}", "busy"
        case TurnFinished(outcome=outcome):
            return _ending(outcome)
        case TurnPutBack(reason=reason):
            return f"turn waits again: {first_line(reason)}", "accent"
        case TurnSuspended():
            return "prompt kept for the next start", "accent"
        case OfferSettled(outcome=outcome):
            return f"interrupted turn {outcome}", "accent"
        case Restarted():
            return _taking_over(event)
        case QuestionAsked(question=question):
            return f"asks: {tool_name(question.tool)} {first_line(question.summary)}", "warn"
        case QuestionSettled(question=question, outcome=outcome, by=by):
            kind = "ok" if outcome is QuestionOutcome.APPROVED else "dim"
            return f"{tool_name(question.tool)} {outcome.value}" + (f" by {by}" if by else ""), kind
        case ApprovalLost(question=question):
            return f"{tool_name(question.tool)} was approved and is not known to have run: lost", "error"
        case ClientStarted(pid=pid, seconds=seconds, how=how):
            return f"started in {duration(seconds)} (pid {pid}, {how})", "ok"
        case ClientDormant(before=before, after=after):
            return f"dormant: {bytes_short(before)} → {bytes_short(after)}", "asleep"
        case ClientWoken(slept=slept, seconds=seconds):
            return f"woke in {duration(seconds)}; it slept {duration(slept)}", "ok"
        case ClientEnding(step=step, reason=reason):
            return f"ending: {step} ({first_line(reason)})", "dim"
        case ClientGone(reason=reason, seconds=seconds, left_over=left_over):
            if left_over:
                return f"left {some(left_over, 'process', 'processes')} behind ({first_line(reason)})", "error"
            return f"gone after {duration(seconds)} ({first_line(reason)})", "dim"
        case ClientFailed(message=message, kind=kind):
            return f"failed{f' ({kind.value})' if kind else ''}: {first_line(message)}", "error"
        case RecordLost(message=message):
            return f"not recorded: {first_line(message)}", "error"
        case ActionTaken(verb=verb, detail=detail, by=by, via=via):
            who = by if via == "screen" else f"{by} by {via}"
            return f"{who}: {verb} {first_line(detail)}".rstrip(), "accent"
        case HookFailed(hook=hook, message=message):
            return f"hook {first_line(hook)}: {first_line(message)}".replace("hook :", "hooks:"), "error"
        case ScheduleDue(schedule=schedule, missed=missed, is_skipped=is_skipped):
            ran = f"{some(missed, 'run')} missed and left out" if is_skipped else "is due"
            made_up = f" ({some(missed, 'run')} missed)" if missed and not is_skipped else ""
            return f"schedule {first_line(schedule)} {ran}{made_up}", "dim"
        case ProviderParked(provider=provider, kind=kind, until=until):
            at = time.strftime("%H:%M:%S", time.localtime(until))
            return f"provider {provider} takes no turns until {at} ({kind.value})", "accent"
        case BudgetNeared(budget=budget):
            return budget_line(budget), "accent"
        case EngineFailed(message=message):
            return f"engine failed: {first_line(message)}", "error"
    return type(event).__name__, "dim"


def _taking_over(event: Restarted) -> Line:
    unasked = f"{event.not_offered} of them " if event.not_offered < event.interrupted else ""
    not_offered = f" ({unasked}not on offer)" if event.not_offered else ""
    parts = [
        some(event.sessions, "session"),
        some(event.waiting, "waiting turn") if event.waiting else "",
        f"{event.interrupted} interrupted{not_offered}" if event.interrupted else "",
        f"{some(event.orphans, 'left-over process', 'left-over processes')} ended" if event.orphans else "",
    ]
    kind = "warn" if event.interrupted else "accent" if event.orphans else "ok"
    return f"taken over from the last run: {', '.join(filter(None, parts))}", kind


def _ending(outcome: Outcome) -> Line:
    match outcome:
        case Done(seconds=seconds):
            return f"turn done in {duration(seconds)}", "ok"
        case Failed(kind=kind, message=message):
            return _because(f"turn failed ({kind.value})", message), "error"
        case Expired(message=message):
            return _because("prompt refused", message), "error"
    return _because(f"turn {outcome_word(outcome)}", outcome.reason), "accent"


def _because(what: str, words: str) -> str:
    """Of a call of a tool that is over, the words are not kept."""
    return f"{what}: {line}" if (line := first_line(words)) else what
