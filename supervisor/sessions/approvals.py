"""Approvals whose calls are not known to have run yet.

An approval reaches the client through a pipe, and the client may be stopped before it has done anything. So each one is
followed: the result of its call, or of its turn, ends that. What has not been heard of when its client is gone, or when
its turn is over, counts as lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supervisor.api.questions import Question
from supervisor.clock import Clock
from supervisor.permissions.file_diff import Signature, sign
from supervisor.sessions.session import Session

BEGUN_AFTER = 5.0
"""Seconds after which a call that was stopped has certainly begun. The CLI takes up to 1.5 s before the first command
of a process begins; until then a stopped one may have done nothing, and says the same as one that has."""

_UNHEARD = "approved, and its client ended before anything was heard of the call"
_STOPPED = "approved, and stopped at once: the call may have run in part or not at all"
_UNUSED = "approved, and the agent did not make the call again"


@dataclass(slots=True)
class Approval:
    """One approved call, and what is known of its execution."""

    question: Question
    session: Session
    call: str
    """What was asked for (`tool_calls.call_of`)."""
    target: str
    """The file it would write; empty for other calls."""
    signature: Signature
    """Of that file, when the question was put."""
    new_rule: str
    """What "always" has added to what the session allows; mostly empty."""
    tool_use_id: str
    given_at: float | None
    """Steady seconds: when the client was told; None while it waits for the agent to make the call again."""
    was_stopped: bool = False
    """The call's own result says that it was interrupted."""

    @property
    def has_written(self) -> bool:
        return bool(self.target) and sign(self.target) != self.signature


class Approvals:
    """State: what is followed, oldest first."""

    def __init__(self, clock: Clock, lose: Callable[[Approval, str], None]) -> None:
        self._clock = clock
        self._lose = lose
        self._followed: list[Approval] = []

    def follow(self, approval: Approval) -> None:
        self._followed.append(approval)

    def take_up(self, session: Session, call: str, tool_use_id: str) -> None:
        """The agent makes a call that was approved while it had no client; its client is told to run it."""
        for approval in self._of(session):
            if approval.given_at is None and approval.call == call:
                approval.given_at, approval.tool_use_id = self._clock.steady(), tool_use_id
                return

    def note_call_ended(self, session: Session, tool_use_id: str, *, was_stopped: bool) -> None:
        """The result of a call was heard."""
        for approval in self._of(session):
            if not tool_use_id or approval.tool_use_id != tool_use_id:
                continue
            has_begun = approval.given_at is not None and self._clock.steady() - approval.given_at >= BEGUN_AFTER
            if was_stopped and not has_begun:
                approval.was_stopped = True  # judged with the turn's Result: a file may be written in this moment
            else:
                self._followed.remove(approval)

    def note_result(self, session: Session) -> None:
        """The turn's Result was heard: its client has read every answer that it was given."""
        for approval in self._of(session):
            if approval.was_stopped and not approval.has_written:
                self._end(approval, _STOPPED)
            elif approval.given_at is not None:
                self._followed.remove(approval)

    def note_turn_over(self, session: Session, turn_id: str) -> None:
        """The turn has its outcome: nothing more will be heard of its calls."""
        for approval in self._of(session):
            if approval.question.turn_id != turn_id:
                continue
            if approval.has_written and approval.given_at is not None:
                self._followed.remove(approval)
            else:
                self._end(approval, _UNUSED if approval.given_at is None else _UNHEARD)

    def _of(self, session: Session) -> list[Approval]:
        return [approval for approval in self._followed if approval.session is session]

    def _end(self, approval: Approval, words: str) -> None:
        self._followed.remove(approval)
        self._lose(approval, words)
