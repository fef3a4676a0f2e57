"""The desk where agents' questions lie until they are answered, expire, or are lost with their turn.

A question is data: it has an id, stands in the snapshot, and is answered by that id. The agent's side of it only waits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import anyio

from supervisor.cleaning import clean, one_line
from supervisor.clock import Clock
from supervisor.connection import ToolRequest, Verdict
from supervisor.errors import AlreadyAnswered, Refused, UnknownTarget
from supervisor.ids import new_id
from supervisor.model import Allow, Answer, Choose, Deny, Question, QuestionKind, QuestionOutcome
from supervisor.permissions import CHOICE_TOOL, call_of, detail, read_choices, rule_for, summarize
from supervisor.session import Session

REMEMBERED = 1_000
"""Settled questions whose outcome is still known, so that a late answer is told what happened."""


LOST = Verdict(Deny(), "The question was lost", QuestionOutcome.LOST)


class QuestionListener(Protocol):
    """Whoever keeps a record of questions. Every method is synchronous."""

    def question_asked(self, question: Question) -> None: ...
    def question_settled(self, question: Question, outcome: QuestionOutcome, by: str, words: str) -> None: ...
    def question_came_back(self, question: Question, call: str, verdict: Verdict) -> None:
        """A detached one has ended with a verdict; `call` is what was asked for (`call_of`)."""


class QuestionDesk:
    """Holds what is open; forgets nothing that somebody might still try to answer."""

    def __init__(self, clock: Clock, listener: QuestionListener) -> None:
        self._clock = clock
        self._listener = listener
        self._open: dict[str, _Pending] = {}
        self._settled: OrderedDict[str, QuestionOutcome] = OrderedDict()

    @property
    def open(self) -> tuple[Question, ...]:
        """Oldest first."""
        return tuple(pending.question for pending in self._open.values())

    async def ask(self, session: Session, client_id: str, request: ToolRequest, ttl: float) -> Verdict:
        """Puts a question and waits for its end, at most `ttl` seconds. Cancelled means lost."""
        rule = rule_for(request)
        if rule and rule in session.allowed:
            return Verdict(Allow())
        if (call := call_of(request)) in session.allowed_once:
            session.allowed_once.remove(call)
            return Verdict(Allow())
        pending = _Pending(self._make(session, client_id, request, rule, ttl), session, rule, call)
        question = pending.question
        self._open[question.id] = pending
        session.questions.append(question.id)
        verdict = LOST
        try:
            self._listener.question_asked(question)
            with anyio.move_on_after(ttl):
                await pending.answered.wait()
            verdict = _judge(pending.answer, ttl)
        finally:
            if not pending.is_detached:
                self._settle(pending, verdict)
        return verdict

    # Questions whose client was given to somebody else

    def detach(self, session: Session) -> None:
        """Keeps the session's questions open although nobody waits for their answers any more."""
        for pending in self._of(session):
            pending.is_detached = True

    def is_answered(self, session: Session) -> bool:
        """An answer to one of its questions is on its way to the client."""
        return any(pending.answer is not None for pending in self._of(session))

    def expire(self, now: float) -> None:
        """Ends detached questions whose time is over. `now` in Unix seconds."""
        for pending in tuple(self._open.values()):
            if pending.is_detached and now >= pending.question.expires_at:
                self._settle(pending, _judge(None, pending.question.expires_at - pending.question.asked_at))

    def lose(self, session: Session) -> None:
        """Ends the session's detached questions: their turn has ended."""
        for pending in self._of(session):
            self._settle(pending, LOST)

    def _of(self, session: Session) -> list[_Pending]:
        return [self._open[question_id] for question_id in tuple(session.questions)]

    def _settle(self, pending: _Pending, verdict: Verdict) -> None:
        question, session = pending.question, pending.session
        outcome = verdict.outcome or QuestionOutcome.LOST
        if isinstance(verdict.answer, Allow) and verdict.answer.always and pending.rule:
            session.allowed.add(pending.rule)
        del self._open[question.id]
        session.questions.remove(question.id)
        self._settled[question.id] = outcome
        while len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)
        answer = pending.answer if outcome is not QuestionOutcome.LOST else None
        self._listener.question_settled(question, outcome, pending.by, _in_words(answer, outcome))
        if pending.is_detached and outcome is not QuestionOutcome.LOST:
            self._listener.question_came_back(question, pending.call, verdict)

    def answer(self, question_id: str, answer: Answer, by: str) -> Question:
        """Gives the answer to whoever waits for it. Raises `UnknownTarget`, `AlreadyAnswered` or `Refused`."""
        pending = self._open.get(question_id)
        if pending is None:
            if (outcome := self._settled.get(question_id)) is not None:
                raise AlreadyAnswered(f"question {question_id} is closed: it was {outcome}; nothing was changed")
            raise UnknownTarget(f"no question {question_id}; `bullpen status` lists the open ones")
        if pending.answer is not None:
            raise AlreadyAnswered(f"question {question_id} was answered a moment ago; nothing was changed")
        question = pending.question
        if isinstance(answer, Choose) and question.kind is QuestionKind.PERMISSION:
            raise Refused(f"question {question_id} asks for a permission: allow or deny it")
        if isinstance(answer, Allow) and question.kind is QuestionKind.CHOICE:
            raise Refused(f"question {question_id} offers a choice: choose one or deny it")
        if isinstance(answer, Choose):
            missing = [item.question for item in question.choices if not answer.answers.get(item.question, "").strip()]
            if missing:
                raise Refused(f"question {question_id} still needs an answer to: {missing[0]}")
        pending.answer, pending.by = answer, by
        pending.answered.set()
        if pending.is_detached:
            self._settle(pending, _judge(answer, 0.0))
        return question

    def _make(self, session: Session, client_id: str, request: ToolRequest, rule: str, ttl: float) -> Question:
        now = self._clock.wall()
        is_choice = request.tool == CHOICE_TOOL
        turn = session.mailbox.current
        return Question(
            id=new_id(),
            kind=QuestionKind.CHOICE if is_choice else QuestionKind.PERMISSION,
            key=session.key,
            turn_id=turn.id if turn else "",
            client_id=client_id,
            tool=one_line(clean(request.tool), 100),
            summary=summarize(request.tool, request.arguments, session.workspace),
            detail=detail(request.arguments, session.workspace),
            asked_at=now,
            expires_at=now + ttl,
            always=one_line(rule, 200),
            choices=read_choices(request.arguments) if is_choice else (),
        )


class _Pending:
    def __init__(self, question: Question, session: Session, rule: str, call: str) -> None:
        self.question = question
        self.call = call
        self.session = session
        self.rule = rule
        self.is_detached = False
        """Its client was given to somebody else: the answer is for the session."""
        self.answer: Answer | None = None
        self.by = ""
        self.answered = anyio.Event()


def _judge(answer: Answer | None, ttl: float) -> Verdict:
    if answer is None:
        words = f"Nobody answered within {ttl:.0f} s; the tool was not run"
        return Verdict(Deny(), words, QuestionOutcome.EXPIRED)
    if isinstance(answer, Deny):
        return Verdict(answer, answer.reason or "The operator denied this", QuestionOutcome.DENIED)
    return Verdict(answer, outcome=QuestionOutcome.APPROVED)


def _in_words(answer: Answer | None, outcome: QuestionOutcome) -> str:
    if outcome in (QuestionOutcome.EXPIRED, QuestionOutcome.LOST):
        return ""
    match answer:
        case Allow(always=True):
            return "always in this session"
        case Deny(reason):
            return clean(reason)
        case Choose(answers):
            return clean(" · ".join(answers.values()))
        case _:
            return "once"
