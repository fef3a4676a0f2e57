"""Agents' questions until they are answered, expire, or are lost with their turn.

A question is data: it has an id, stands in the snapshot, and is answered by that id. The agent's side of it only waits.

An answer counts from the moment `answer` takes it, and `answer` takes none for a turn that is being stopped. It is
recorded as approved when the verdict goes to the client. What becomes of the call then is followed (`Approvals`): when
it is not known to have run, the approval counts as lost.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import anyio

from supervisor.api.errors import AlreadyAnswered, Refused, UnknownTarget
from supervisor.api.ids import new_id
from supervisor.api.questions import Allow, Answer, Choose, Deny, Question, QuestionKind, QuestionOutcome
from supervisor.clock import Clock
from supervisor.in_thread import run_in_thread
from supervisor.permissions.call_details import MOST_SHOWN, Particulars, describe, examine
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.permissions.targets import PATHS, find_target
from supervisor.permissions.tool_calls import CHOICE_TOOL, call_of, find_flaw, read_choices, summarize
from supervisor.sessions.approvals import Approval, Approvals
from supervisor.sessions.session import Session
from supervisor.text.cleaning import clean, one_line
from supervisor.text.visible import show

REMEMBERED = 1_000
"""Settled questions whose outcome is still known, so that a late answer is told what happened."""
DISK_TIME = 5.0
"""Seconds that the file system has to answer before a question is put without a look at it."""
_READERS = 8
"""Threads that may look at files at once: one that never returns keeps no other part of the program waiting."""
_SMALL = 20_000
"""Characters of a call that are laid out in no time."""

_MOVED = "the path came to lead to another file while the question was open: the call was not run"
MOVED = Verdict(Deny(), f"{_MOVED.capitalize()}. Make it again to be asked anew.", QuestionOutcome.LOST)
"""A link was exchanged between the question and its answer."""
LOST = Verdict(Deny(), "The question was lost", QuestionOutcome.LOST)


class QuestionListener(Protocol):
    """Keeps the record of questions. Every method is synchronous."""

    def question_asked(self, question: Question) -> None: ...
    def question_settled(self, question: Question, outcome: QuestionOutcome, by: str, words: str) -> None: ...
    def question_came_back(self, question: Question, call: str, verdict: Verdict) -> None:
        """A detached one has ended with a verdict; `call` is what was asked for (`call_of`)."""

    def approval_lost(self, question: Question, words: str) -> None:
        """A question was settled as approved, and its call is not known to have run."""

    def request_denied(self, session: Session, words: str) -> None:
        """A request that a human cannot decide on was denied without a question."""


class OpenQuestions:
    """Holds what is open; forgets nothing that an answer might still come for."""

    def __init__(self, clock: Clock, listener: QuestionListener) -> None:
        self.approvals = Approvals(clock, self._lose_approval)
        self._clock = clock
        self._listener = listener
        self._open: dict[str, _Pending] = {}
        self._settled: OrderedDict[str, QuestionOutcome] = OrderedDict()
        self._readers: anyio.CapacityLimiter | None = None

    @property
    def open(self) -> tuple[Question, ...]:
        """Oldest first."""
        return tuple(pending.question for pending in self._open.values())

    async def ask(
        self,
        session: Session,
        client_id: str,
        request: ToolRequest,
        ttl: float,
        *,
        when_put: Callable[[], object] = lambda: None,
    ) -> Verdict:
        """Decides by what was allowed before, or puts a question and waits for its end, at most `ttl` seconds.

        `when_put` is called when the question is about to stand in the snapshot. Cancelled means lost.
        """
        if flaw := find_flaw(request):
            return self._deny(session, f"{flaw}; the operator was not asked. Correct the call and make it again.")
        found = await self._examine(session, request)
        call = call_of(request, found.place)
        if _is_being_stopped(session, None):
            return LOST
        if found.is_covered:
            self.approvals.take_up(session, call, request.tool_use_id)
            return Verdict(Allow())
        if call in session.allowed_once:
            session.allowed_once.remove(call)
            self.approvals.take_up(session, call, request.tool_use_id)
            return Verdict(Allow())
        if found.too_large:
            return self._deny(
                session,
                f"The call of {one_line(show(request.tool), 100)} has {found.too_large:,} characters, too many to be "
                f"shown to the operator (at most {MOST_SHOWN:,}); it was not run. Divide it into smaller calls.",
            )
        pending = _Pending(self._make(session, client_id, request, found, ttl), session, request, found, call)
        question = pending.question
        self._open[question.id] = pending
        session.questions.append(question.id)
        verdict = LOST
        try:
            when_put()
            self._listener.question_asked(question)
            with anyio.move_on_after(ttl):
                await pending.answered.wait()
            judged = _judge(pending.answer, ttl)
            if judged.outcome is QuestionOutcome.APPROVED and await self._leads_elsewhere(pending):
                judged = MOVED
            if judged.outcome is QuestionOutcome.APPROVED and _is_being_stopped(session, pending):
                judged = LOST  # the stop came after the answer, and before the client has heard it
            verdict = judged
        finally:
            if not pending.is_detached:
                self._settle(pending, verdict)
        return verdict

    async def _examine(self, session: Session, request: ToolRequest) -> Particulars:
        """In a thread where a file is looked at, or much is laid out."""
        workspace, allowed = session.workspace, session.allowed
        if request.tool not in PATHS and len(str(request.arguments)) <= _SMALL:
            return examine(request, workspace, allowed)
        if self._readers is None:
            self._readers = anyio.CapacityLimiter(_READERS)
        with anyio.move_on_after(DISK_TIME):
            return await run_in_thread(
                examine, request, workspace, allowed, abandon_on_cancel=True, limiter=self._readers
            )
        return await run_in_thread(describe, request, abandon_on_cancel=True)

    async def _leads_elsewhere(self, pending: _Pending) -> bool:
        """Whether the path of the call leads to another file than was shown, or that cannot be found out."""
        request, workspace = pending.request, pending.session.workspace
        if not pending.found.place or workspace is None or self._readers is None:
            return False
        now = None
        with anyio.move_on_after(DISK_TIME):
            now = await run_in_thread(find_target, request, workspace, abandon_on_cancel=True, limiter=self._readers)
        return now != pending.found.place

    def _deny(self, session: Session, words: str) -> Verdict:
        self._listener.request_denied(session, words)
        return Verdict(Deny(words), words)

    # Questions of bullpen itself

    def ask_about_budget(
        self, session: Session, turn_id: str, words: str, ttl: float, when_over: Callable[[str], object]
    ) -> None:
        """Puts to the operator whether a turn that waits may run beyond a budget; `words` say which. `when_over` is
        told how it ended: why it may not, in words, or nothing when it may."""
        now = self._clock.wall()
        question = Question(
            id=new_id(),
            kind=QuestionKind.BUDGET,
            key=session.key,
            turn_id=turn_id,
            client_id="",
            tool="Budget",
            summary=one_line(f"let this turn run beyond the budget? {words}", 300),
            detail=f"Let this turn run beyond the budget?\n{clean(words)}",
            asked_at=now,
            expires_at=now + ttl,
        )
        own = ToolRequest(question.tool), Particulars(), ""
        self._open[question.id] = _Pending(question, session, *own, when_over=when_over)
        session.holds.append(question.id)
        self._listener.question_asked(question)

    def lose_about(self, session: Session, turn_id: str) -> None:
        """Ends the questions about a turn that no longer waits, as lost."""
        for pending in [self._open[question_id] for question_id in session.holds]:
            if pending.question.turn_id == turn_id:
                self._settle(pending, LOST)

    # Questions whose client was given to another session

    def detach(self, session: Session) -> None:
        """Keeps the session's questions open although no client waits for their answers any more."""
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
        new_rule = ""
        if isinstance(verdict.answer, Allow) and verdict.answer.always and pending.rule not in ("", *session.allowed):
            new_rule = pending.rule
            session.allowed |= {new_rule}
        del self._open[question.id]
        (session.questions if pending.when_over is None else session.holds).remove(question.id)
        self._remember(question, outcome)
        answer = pending.answer if outcome is not QuestionOutcome.LOST else None
        if pending.when_over is not None:
            self._listener.question_settled(question, outcome, pending.by, _in_words(answer, outcome))
            pending.when_over(_tell_refusal(question, outcome, answer))
            return
        if outcome is QuestionOutcome.APPROVED and not (pending.is_detached and isinstance(answer, Choose)):
            self.approvals.follow(
                Approval(
                    question,
                    session,
                    pending.call,
                    pending.found.target,
                    pending.found.signature,
                    new_rule,
                    "" if pending.is_detached else question.tool_use_id,
                    None if pending.is_detached else self._clock.steady(),
                )
            )
        words = _MOVED if verdict is MOVED else _in_words(answer, outcome)
        self._listener.question_settled(question, outcome, pending.by, words)
        if pending.is_detached and outcome is not QuestionOutcome.LOST:
            self._listener.question_came_back(question, pending.call, verdict)

    def _remember(self, question: Question, outcome: QuestionOutcome) -> None:
        self._settled[question.id] = outcome
        while len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    def _lose_approval(self, approval: Approval, words: str) -> None:
        approval.session.allowed -= {approval.new_rule}
        self._remember(approval.question, QuestionOutcome.LOST)
        self._listener.approval_lost(approval.question, words)

    def answer(self, question_id: str, answer: Answer, by: str) -> Question:
        """Gives the answer to the call that waits for it. Raises `UnknownTarget`, `AlreadyAnswered` or `Refused`."""
        pending = self._open.get(question_id)
        if pending is None:
            if (outcome := self._settled.get(question_id)) is not None:
                raise AlreadyAnswered(f"question {question_id} is closed: it was {outcome}; nothing was changed")
            raise UnknownTarget(f"no question {question_id}; the inbox lists the open ones")
        if pending.answer is not None:
            raise AlreadyAnswered(f"question {question_id} was answered a moment ago; nothing was changed")
        if not pending.is_detached and _is_being_stopped(pending.session, pending):
            raise AlreadyAnswered(f"question {question_id} is lost: its turn is being stopped; nothing was changed")
        if not pending.is_detached and pending.task is not None and pending.task.cancelling():
            raise AlreadyAnswered(f"question {question_id} is being taken back in this moment; nothing was changed")
        question = pending.question
        if isinstance(answer, Choose) and question.kind is not QuestionKind.CHOICE:
            raise Refused(f"question {question_id} asks for a permission: allow or deny it")
        if isinstance(answer, Allow) and question.kind is QuestionKind.CHOICE:
            raise Refused(f"question {question_id} offers a choice: choose one or deny it")
        if isinstance(answer, Allow) and not pending.rule:
            answer = Allow()  # "always" is not on offer: it allows this one call, and is recorded so
        if isinstance(answer, Choose):
            missing = [item.question for item in question.choices if not answer.answers.get(item.question, "").strip()]
            if missing:
                raise Refused(f"question {question_id} still needs an answer to: {one_line(missing[0], 200)}")
        pending.answer, pending.by = answer, by
        pending.answered.set()
        if pending.is_detached:
            self._settle(pending, _judge(answer, 0.0))
        return question

    def _make(self, session: Session, client_id: str, request: ToolRequest, found: Particulars, ttl: float) -> Question:
        now = self._clock.wall()
        is_choice = request.tool == CHOICE_TOOL
        turn = session.running
        return Question(
            id=new_id(),
            kind=QuestionKind.CHOICE if is_choice else QuestionKind.PERMISSION,
            key=session.key,
            turn_id=turn.id if turn else "",
            client_id=client_id,
            tool=one_line(show(request.tool), 100),
            summary=summarize(request.tool, request.arguments, session.workspace),
            detail=found.detail,
            asked_at=now,
            expires_at=now + ttl,
            always=found.rule.words if found.rule is not None else "",
            choices=read_choices(request.arguments) if is_choice else (),
            diff=found.diff,
            notes=found.notes,
            warnings=found.warnings,
            tool_use_id=request.tool_use_id,
        )


class _Pending:
    def __init__(
        self,
        question: Question,
        session: Session,
        request: ToolRequest,
        found: Particulars,
        call: str,
        *,
        when_over: Callable[[str], object] | None = None,
    ) -> None:
        """Of a tool's call, or of bullpen itself (`when_over`): there no client waits for the answer."""
        self.question = question
        self.call = call
        self.request = request
        self.session = session
        self.slot = session.slot
        """The place of the client that asks; None when the session has lost it already."""
        self.when_over = when_over
        task = asyncio.current_task() if when_over is None else None
        assert task is not None or when_over is not None, "a question is put by the task that waits for its answer"
        self.task = task
        """Waits for the answer. Once it is being cancelled, an answer would be taken and not reach the client."""
        self.found = found
        self.rule = found.rule.stored if found.rule is not None else ""
        self.is_detached = when_over is not None
        """Its client was given to another session: the answer is for this one."""
        self.answer: Answer | None = None
        self.by = ""
        self.answered = anyio.Event()


def _is_being_stopped(session: Session, pending: _Pending | None) -> bool:
    """Whether the client that asks is on its way out, or its turn is asked to stop or over: no answer counts."""
    slot = pending.slot if pending is not None else session.slot
    if slot is not None and slot.is_leaving:
        return True
    turn = session.running
    if pending is None or turn is None or turn.id == pending.question.turn_id:
        return turn is not None and bool(turn.stop_reason)
    return True


def _tell_refusal(question: Question, outcome: QuestionOutcome, answer: Answer | None) -> str:
    """Why a turn may not run beyond the budget; empty when it may."""
    if outcome is QuestionOutcome.APPROVED:
        return ""
    words = question.detail.partition("\n")[2]
    if outcome is QuestionOutcome.EXPIRED:
        return f"{words}; the question whether it may run beyond it was not answered in time"
    reason = answer.reason if isinstance(answer, Deny) else ""
    return f"{words}; the operator did not let it run beyond it" + (f": {one_line(reason, 200)}" if reason else "")


def _judge(answer: Answer | None, ttl: float) -> Verdict:
    if answer is None:
        words = f"No answer within {ttl:.0f} s; the tool was not run"
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
