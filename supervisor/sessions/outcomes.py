"""What the end of a turn means: an interrupt, or which failure; and what is told of a prompt that was rejected."""

from __future__ import annotations

from supervisor.api.outcomes import Failed, FailureKind, Interrupted, Outcome, Usage
from supervisor.process.reports import Result
from supervisor.sessions.turn import Turn

REJECTIONS = (FailureKind.REJECTED, FailureKind.TOO_LONG)
"""Failures for which a prompt is cut from its conversation."""

_FAILURES_BY_STATUS = {
    401: FailureKind.AUTHENTICATION,
    403: FailureKind.AUTHENTICATION,
    429: FailureKind.RATE_LIMIT,
}
_NOT_THE_PROMPT = ("credit balance", "api key", "organization")
"""Words of a 400 that is not about what was sent."""


def stopped(turn: Turn, reason: str, text: str, usage: Usage = Usage()) -> Outcome:
    """The outcome of a turn that was asked to stop: an interrupt, or the failure it was stopped for."""
    why = turn.stop_reason or reason
    return Interrupted(why, text, usage) if turn.fails_as is None else Failed(turn.fails_as, why, usage, text)


def find_rejection(result: Result) -> FailureKind | None:
    """How the API has rejected the prompt itself; None when the Result is anything else."""
    if not result.is_error or result.was_aborted:
        return None
    if result.terminal_reason == "prompt_too_long" or result.api_status == 413:
        return FailureKind.TOO_LONG
    is_about_prompt = not any(words in result.error.lower() for words in _NOT_THE_PROMPT)
    return FailureKind.REJECTED if result.api_status in (400, 422) and is_about_prompt else None


def name_failure(result: Result) -> tuple[FailureKind, str]:
    """The kind of failure that an error is, and the CLI's words for it."""
    words = result.error or result.text or "the turn ended with an error"
    if (rejection := find_rejection(result)) is not None:
        return rejection, words
    if result.terminal_reason == "max_turns":
        return FailureKind.MAX_TURNS, words
    if "structured_output_retries" in result.terminal_reason or "structured_output_retries" in result.error:
        return FailureKind.OUTPUT_INVALID, words
    return _FAILURES_BY_STATUS.get(result.api_status or 0, FailureKind.API_ERROR), words


def tell_rejection(turn: Turn, kind: FailureKind, words: str, count: int) -> str:
    """What the caller of a rejected prompt is told. `count`: prompts in a row that were rejected."""
    told = [words.rstrip("."), "the prompt was taken out of the conversation, which goes on without it"]
    if kind is FailureKind.TOO_LONG:
        what = "even with the conversation compacted" if turn.was_compacted else "together with the conversation"
        told[1:1] = [f"it is too long for the model {what}"]
    if turn.has_used_tools:
        told.append("what its tools have done stays done")
    if count > 1:
        told.append(
            f"{count} in a row: if they are all right by themselves, the conversation is not; close the session, or "
            "name another one, to begin a new one"
        )
    return "; ".join(told)
