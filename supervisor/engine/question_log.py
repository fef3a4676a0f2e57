"""Records what becomes of a question: in the conversation, in the journal and on the feed."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.api import events as past
from supervisor.api.entries import QuestionClosed, QuestionPosed
from supervisor.api.questions import Question, QuestionKind, QuestionOutcome
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.instance.stimuli import QuestionCameBack
from supervisor.permissions.requests import Verdict
from supervisor.sessions.session import Session


class QuestionLog:
    """Implements `open_questions.QuestionListener`."""

    def __init__(self, instances: Mapping[str, Instance], host: HostContext) -> None:
        self._instances = instances
        self._host = host

    def question_asked(self, question: Question) -> None:
        if question.kind is not QuestionKind.BUDGET:  # which is between bullpen and its operator
            posed = QuestionPosed(at=question.asked_at, turn_id=question.turn_id, question=question)
            self._session(question).conversation.append(posed)
        self._host.journal.questions.note(question)
        self._host.feed.touch_questions()
        self._host.feed.publish(past.QuestionAsked(at=question.asked_at, question=question, **_ids(question)))

    def question_settled(self, question: Question, outcome: QuestionOutcome, by: str, words: str) -> None:
        now = self._host.clock.wall()
        if question.kind is not QuestionKind.BUDGET:
            self._session(question).conversation.append(
                QuestionClosed(
                    at=now, turn_id=question.turn_id, question_id=question.id, outcome=outcome, answer=words, by=by
                )
            )
        self._host.journal.questions.settle(question.id, now, outcome, by, words)
        self._host.feed.touch_questions()
        self._host.feed.publish(
            past.QuestionSettled(at=now, question=question, outcome=outcome, by=by, **_ids(question))
        )

    def question_came_back(self, question: Question, call: str, verdict: Verdict) -> None:
        instance, session = self._instances[question.key.instance], self._session(question)
        instance.handle(QuestionCameBack(session, question, call, verdict))

    def approval_lost(self, question: Question, words: str) -> None:
        now = self._host.clock.wall()
        lost = QuestionOutcome.LOST
        self._session(question).conversation.append(
            QuestionClosed(at=now, turn_id=question.turn_id, question_id=question.id, outcome=lost, answer=words)
        )
        self._host.journal.questions.take_back_approval(question.id, now, words)
        self._host.feed.publish(past.ApprovalLost(at=now, question=question, **_ids(question)))

    def request_denied(self, session: Session, words: str) -> None:
        session.notice(f"Denied without asking: {words}")

    def _session(self, question: Question) -> Session:
        return self._instances[question.key.instance].sessions[question.key]


def _ids(question: Question) -> dict[str, str]:
    key = question.key
    return {
        "instance": key.instance,
        "user": key.user,
        "session": key.session,
        "turn": question.turn_id,
        "client": question.client_id,
    }
