"""The fields of named events: what each means, and how it is read from an event."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.api import events
from supervisor.api.automation import Payload, Value
from supervisor.api.outcomes import outcome_word
from supervisor.api.prompts import Prompt

MOST_TEXT = 20_000
"""Characters of any one field; what is longer ends with `…`."""

COMMON: Mapping[str, str] = {
    "event": "The event's name.",
    "id": "Names this happening for the receiver.",
    "at": "Unix seconds.",
    "instance": "The agent's name; empty when it is about no agent.",
    "user": "Whose session it is; `everyone` for an employee's.",
    "session": "The session's name.",
    "turn": "The id of the turn.",
    "client": "The id of the client.",
    "depth": "How many hooks away from a caller this is; 0 when no hook led to it.",
    "sample": "True when `bullpen hooks test` made it up.",
}
"""Fields of every event. An id that an event has none of is empty."""

MEANINGS: Mapping[str, str] = {
    "text": "What the prompt says.",
    "sender": "On whose behalf the prompt was sent.",
    "source": "Who sent the prompt: `caller`, `operator`, `hook`, `agent` or `engine`.",
    "priority": "`critical`, `high`, `normal` or `low`.",
    "outcome": "How it ended.",
    "kind": "What kind of failure, or of question, it is.",
    "message": "What went wrong, in one line.",
    "reply": "What the agent said.",
    "seconds": "How long it took.",
    "waited": "Seconds from submit to start.",
    "cost": "Dollars.",
    "tokens": "Input and output together.",
    "reason": "Why.",
    "question": "The id of the question.",
    "tool": "The tool that the agent wants to use.",
    "summary": "Its arguments on one line.",
    "expires": "Unix seconds at which the question expires.",
    "by": "Who did it.",
    "pid": "The process id.",
    "how": "`spare`, `cold` or `resume`.",
    "before": "Bytes of its processes before it slept.",
    "after": "Bytes of its processes since.",
    "slept": "Seconds that it slept.",
    "left": "Processes that could not be ended.",
    "state": "The state it is in now.",
    "note": "Why it is in that state.",
    "changed": "Keys of the template, with commas; `prompt` for its body.",
    "clients": "How many clients that concerns.",
    "replayed": "The id of the turn that was interrupted.",
    "sessions": "How many sessions.",
    "waiting": "How many turns wait.",
    "interrupted": "How many turns were interrupted.",
    "scope": "Whose spending the ceiling counts: `all`, `user`, `session`, `instance` or `provider`.",
    "name": "Of that user, session, instance or provider.",
    "measure": "`cost`, `tokens` or `turns`.",
    "spent": "Since midnight.",
    "limit": "For a day.",
    "reached": "Whether all of it is spent.",
    "provider": "The provider, by its name.",
    "until": "When it is tried again, in Unix seconds.",
    "verb": "What the operator did.",
    "detail": "What it was done with.",
    "via": "`screen`, `command` or `http`.",
    "schedule": "The name of the schedule.",
    "due": "Unix seconds for which it was declared.",
    "missed": "How many of its runs were missed.",
}
"""Field → its meaning, for fields that only some events have."""


def prompt_fields(prompt: Prompt | None) -> dict[str, Value]:
    if prompt is None:
        return {"text": "", "sender": "", "source": "", "priority": ""}
    return {
        "text": prompt.text,
        "sender": prompt.user,
        "source": prompt.source.value,
        "priority": prompt.priority.name.lower(),
    }


def cut(value: Value) -> Value:
    if isinstance(value, str) and len(value) > MOST_TEXT:
        return value[: MOST_TEXT - 1] + "…"
    return value


def outcome_fields(event: events.TurnFinished) -> Payload:
    outcome = event.outcome
    usage = getattr(outcome, "usage", None)
    return {
        "outcome": outcome_word(outcome),
        "kind": kind.value if (kind := getattr(outcome, "kind", None)) is not None else "",
        "message": getattr(outcome, "message", "") or getattr(outcome, "reason", ""),
        "reply": getattr(outcome, "text", ""),
        "seconds": round(getattr(outcome, "seconds", 0.0), 3),
        "cost": usage.cost_usd if usage is not None else 0.0,
        "tokens": usage.input_tokens + usage.output_tokens if usage is not None else 0,
    }


def question_fields(event: events.QuestionAsked | events.QuestionSettled | events.ApprovalLost) -> Payload:
    question = event.question
    return {
        "question": question.id,
        "kind": question.kind.value,
        "tool": question.tool,
        "summary": question.summary,
        "expires": question.expires_at,
    }


def budget_fields(event: events.BudgetNeared) -> Payload:
    budget = event.budget
    return {
        "scope": budget.scope.value,
        "name": budget.name,
        "measure": budget.measure.value,
        "spent": budget.spent,
        "limit": budget.limit,
        "reached": budget.is_reached,
    }


def state_fields(event: events.InstanceChanged) -> Payload:
    return {"state": event.state.value, "note": event.note}
