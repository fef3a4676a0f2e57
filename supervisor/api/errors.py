"""Errors raised for a caller's mistakes. How a turn failed is a value instead (`outcomes.Failed`)."""

from __future__ import annotations

from supervisor.text.cleaning import reveal_line
from supervisor.text.urls import hide_credentials


class BullpenError(Exception):
    """Base of everything raised on purpose. `str(error)` is one line naming the thing and the remedy.

    Whatever a name or a value in it holds, it stays one line, acts on no terminal and shows no password of a URL.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_sentence(message))


def one_sentence(message: str) -> str:
    """The message as it may stand on a terminal and in a log."""
    return hide_credentials(reveal_line(message))


class ConfigurationError(BullpenError):
    """Raised when a template or a settings file cannot be used. Carries one line per mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = [one_sentence(mistake) for mistake in mistakes]
        Exception.__init__(self, "\n".join(self.mistakes))


class Refused(BullpenError):
    """Raised when a prompt or a command is not accepted. Nothing was changed."""


class UnknownAgent(Refused):
    """Raised when no instance of that name exists."""


class NoAgentMatches(Refused):
    """Raised when a prompt names no agent, no agent's triggers, name or description fit its text, and `[routing]` in
    bullpen.toml names no default."""


class UnknownTarget(Refused):
    """Raised when the session, turn, client or question named does not exist any more."""


class InvalidId(Refused):
    """Raised when a user or session id has forbidden characters or a bad length."""


class InvalidPrompt(Refused):
    """Raised when a prompt is empty or too long, or a part of it is not what it should be."""


class NotAccepting(Refused):
    """Raised when the instance is draining, drained, stopped or being killed."""


class AlreadyAnswered(Refused):
    """Raised when a question was answered, has expired or was lost; the message says which."""


class JournalFailed(BullpenError):
    """Raised when the journal cannot be written or read: the disk is full, read-only or broken. The three kinds below
    say what that means for a prompt."""


class NotRecorded(JournalFailed, Refused):
    """Raised when a prompt could not be recorded. It was refused, and nothing of it is left."""


class AcceptanceUnknown(JournalFailed):
    """Raised when bullpen ended before it knew whether a prompt was recorded. It may run after the next start, so it is
    not refused: sent again, it might run twice."""


class OutcomeUnknown(JournalFailed):
    """Raised when bullpen ended before it could record how an accepted turn ended. The next start finds it as a turn
    that waits, or offers it as one that was interrupted."""


class Saturated(Refused):
    """Raised when the queue is full; also the reason inside `outcomes.Expired`.

    The message carries the pool's counts: total, active, idle, waiting.
    """

    def __init__(
        self, instance: str, *, total: int, active: int, idle: int, waiting: int, retry_after: float, why: str
    ) -> None:
        self.instance = instance
        self.total, self.active, self.idle, self.waiting = total, active, idle, waiting
        self.retry_after = retry_after
        """Seconds."""
        super().__init__(
            f"{instance} is saturated: {why} "
            f"(total={total} active={active} idle={idle} waiting={waiting}); retry after {retry_after:.0f} s"
        )


class GateRefused(Refused):
    """Raised when a gate refused the prompt, or gave no verdict and stands for a refusal then (`docs/hooks.md`)."""

    def __init__(self, message: str, *, gate: str = "") -> None:
        self.gate = gate
        """The name of the hook."""
        super().__init__(message)


class OverShare(Refused):
    """Raised when a user has as many turns waiting and running in an instance as one user may (`queue.maxPerUser`)."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        """Seconds."""
        super().__init__(message)


class OverBudget(Refused):
    """Raised when a ceiling of the day is reached (`[budgets]`, or `budget` of a template)."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        """Seconds until the day turns; fewer where only turns under way keep it out."""
        super().__init__(message)


class RequestConflict(Refused):
    """Raised when a request is handed in under a name that another request of that user has (`Prompt.request`)."""


class Suspended(BullpenError):
    """Raised to callers that wait for a turn when bullpen stops: the prompt is kept and runs at the next start."""


class StateInUse(BullpenError):
    """Raised when another supervisor holds the state directory; the message names it."""


class JournalUnusable(BullpenError):
    """Raised when the journal's file is no journal, is damaged, or is newer than this program. It was left as it is."""


class ConnectFailed(BullpenError):
    """Raised when a client could not be started. The message ends with the process's last words."""


class ClientReportFailed(BullpenError):
    """Never raised: the reason of a client that was ended because of a bug in handling its messages."""


class ResumeTargetMissing(ConnectFailed):
    """Raised when the conversation to be resumed is not on disk."""


class SessionIdTaken(ConnectFailed):
    """Raised when a session id to be created is already in use."""


class ClientDied(BullpenError):
    """Raised by a connection's stream when the process ended or its output cannot be read."""

    def __init__(self, message: str, *, exit_code: int | None = None, oversize: bool = False) -> None:
        self.exit_code = exit_code
        self.oversize = oversize
        super().__init__(message)
