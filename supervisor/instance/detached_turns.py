"""A turn whose question waits without a client: the process goes to another session, the question stays answerable.

A human takes minutes; a client costs a place and a few hundred megabytes. When others wait for a place, a client that
has been asking for `askingTtl` is ended. Its turn waits at the head of its session until the question is answered. Then
the session is resumed, the agent is told the answer, and the turn goes on: the same ticket, the same one outcome.
"""

from __future__ import annotations

from supervisor.api.outcomes import Interrupted
from supervisor.api.questions import Allow, Choose, Deny, Question, QuestionOutcome
from supervisor.instance.clients import Clients
from supervisor.instance.core import InstanceCore
from supervisor.instance.scheduler import Scheduler
from supervisor.instance.turns import Turns
from supervisor.permissions.requests import Verdict
from supervisor.process.end_reason import EndReason
from supervisor.sessions.outcomes import stopped
from supervisor.sessions.session import Session
from supervisor.sessions.turn import Turn

NOTICE = "The process was freed while the question waits; a new one will get the answer"


class DetachedTurns:
    """Detaches turns of one instance and brings them back. Their state is in `Turn.is_detached` and `Turn.told`."""

    def __init__(self, core: InstanceCore, turns: Turns, clients: Clients, scheduler: Scheduler) -> None:
        self._core = core
        self._turns = turns
        self._clients = clients
        self._scheduler = scheduler

    def free_askers(self, now: float) -> None:
        """Frees the client that has asked longest, when a session waits for a place. `now` in steady seconds."""
        limit, pool = self._core.template.pool.asking_ttl, self._core.pool
        if limit is None or pool.closing or not self._scheduler.is_place_wanted:
            return
        asking = [slot for slot in pool if slot.asking_since is not None and now - slot.asking_since > limit]
        slot = min(asking, key=lambda one: one.asking_since or 0.0, default=None)
        questions = self._core.host.pending_questions
        if slot is None or slot.session is None or slot.client is None or questions.is_answered(slot.session):
            return
        if slot.session.own is not None:
            return  # a turn that the agent began by itself has no prompt to come back with
        session = slot.session
        questions.detach(session)
        turn = self._turns.put_back(session, "its question waits without a client")
        turn.is_detached = True
        session.has_history = True
        session.notice(NOTICE)
        self._clients.end(slot, EndReason.DETACHED)
        self._turns.note_readiness(session)

    def come_back(self, session: Session, question: Question, call: str, verdict: Verdict) -> None:
        """One of its questions has ended: when none is left, the turn may go on. `call`: what was asked for."""
        turn = session.mailbox.head
        if turn is None or not turn.is_detached:
            return
        turn.told.append(_tell(question, verdict))
        if isinstance(verdict.answer, Allow) and not verdict.answer.always:
            session.allowed_once.append(call)
        if session.questions:
            return
        turn.is_detached = False
        turn.rename()
        self._turns.note_readiness(session)

    def begin_anew(self, turn: Turn) -> None:
        """The conversation is lost, and with it what was asked: the prompt is sent again from the beginning."""
        turn.told.clear()

    def end(self, session: Session, reason: str) -> bool:
        """Ends the turn that waits for its question, or comes back with the answer; False when the session has none."""
        turn = session.mailbox.head
        if turn is None or not (turn.is_detached or turn.told):
            return False
        self._core.host.pending_questions.lose(session)
        turn.ask_to_stop(reason)
        outcome = stopped(turn, reason, session.text_of(turn))
        assert isinstance(outcome, Interrupted), "nothing but an interrupt ends a turn that has no client"
        self._turns.drop(session, turn, outcome)
        self._turns.leave_to_next_run(session, turn)
        if session.key in self._core.sessions:  # a call that leaves nothing behind has been taken off the books
            self._core.save(session)
        return True


def _tell(question: Question, verdict: Verdict) -> str:
    """The text for the agent in place of the tool's result, because the process that made the call has ended."""
    call = f"{question.tool} ({question.summary})" if question.summary else question.tool
    match verdict.answer:
        case Choose(answers):
            lines = [f"- {asked} → {answer}" for asked, answer in answers.items()]
            return "\n".join(["Your question was answered:", *lines])
        case Deny() if verdict.outcome is QuestionOutcome.EXPIRED:
            return f"Your call of {call} was not answered in time. It was not run."
        case Deny():
            return f"Your call of {call} was denied: {verdict.message}"
        case _:
            return f"Your call of {call} was approved. It has not been run yet: make it again."
