"""The desk where agents' questions lie until they are answered, expire, or are lost with their turn.

A question is data: it has an id, stands in the snapshot, and is answered by that id. The agent's side of it only waits.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import anyio

from supervisor.cleaning import clean, one_line, shorten
from supervisor.clock import Clock
from supervisor.connection import ToolRequest, Verdict
from supervisor.errors import AlreadyAnswered, Refused, UnknownTarget
from supervisor.ids import new_id
from supervisor.model import Allow, Answer, ChoiceItem, Choose, Deny, Question, QuestionKind, QuestionOutcome
from supervisor.session import Session

CHOICE_TOOL = "AskUserQuestion"
REMEMBERED = 1_000
"""Settled questions whose outcome is still known, so that a late answer is told what happened."""


LOST = Verdict(Deny(), "The question was lost", QuestionOutcome.LOST)


class QuestionDesk:
    """Holds what is open; forgets nothing that somebody might still try to answer."""

    def __init__(
        self,
        clock: Clock,
        on_asked: Callable[[Question], None],
        on_settled: Callable[[Question, QuestionOutcome, str, str], None],
        on_come_back: Callable[[Question, str, Verdict], None],
    ) -> None:
        """`on_come_back` is told how a detached question ended, with the call that was asked for (`call_of`)."""
        self._clock = clock
        self._on_asked = on_asked
        self._on_settled = on_settled
        self._on_come_back = on_come_back
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
            self._on_asked(question)
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
        self._on_settled(question, outcome, pending.by, _in_words(answer, outcome))
        if pending.is_detached and outcome is not QuestionOutcome.LOST:
            self._on_come_back(question, pending.call, verdict)

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
            choices=_read_choices(request.arguments) if is_choice else (),
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


def rule_for(request: ToolRequest) -> str:
    """What "always in this session" means for this request; empty when it is not on offer.

    A command is allowed only as it stands, to the letter and with its switches: a prefix would let `ls; rm -r .` pass
    as `ls`, and the same words outside the sandbox are not the same command.
    """
    if request.tool == CHOICE_TOOL:
        return ""
    if request.tool == "Bash":
        switches = {name: value for name, value in request.arguments.items() if name not in ("command", "description")}
        suffix = f" {json.dumps(switches, sort_keys=True, default=str)}" if switches else ""
        return f"Bash: {request.arguments.get('command', '')}{suffix}"
    return request.tool


def call_of(request: ToolRequest) -> str:
    """One call to the letter: another with the same tool is another question."""
    return f"{request.tool} {json.dumps(request.arguments, sort_keys=True, default=str)}"


def summarize(tool: str, arguments: Mapping[str, Any], workspace: Path | None = None) -> str:
    """The arguments on one line: the telling one alone where a tool has one, paths as seen from the workspace."""
    limit = 200
    arguments = _localise(arguments, workspace)
    for name in ("command", "file_path", "path", "pattern", "url", "query", "description"):
        if isinstance(value := arguments.get(name), str) and value:
            return one_line(value, limit)
    if tool == CHOICE_TOOL:
        return one_line(" · ".join(item.question for item in _read_choices(arguments)), limit)
    if not arguments:
        return ""
    return one_line(json.dumps(arguments, ensure_ascii=False, default=str), limit)


def detail(arguments: Mapping[str, Any], workspace: Path | None = None) -> str:
    """The arguments in full, one below the other, texts as they read; cut to a length that can be shown."""
    parts = []
    for name, value in _localise(arguments, workspace).items():
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, indent=2, default=str)
        parts.append(f"{name}:\n{indent(value, '  ')}" if "\n" in value else f"{name}: {value}")
    return shorten(clean("\n".join(parts)))


def _localise(arguments: Mapping[str, Any], workspace: Path | None) -> dict[str, Any]:
    """Paths as seen from the workspace: an opaque directory's full name tells nobody anything."""
    if workspace is None:
        return dict(arguments)
    prefix = f"{workspace}/"
    return {name: value.replace(prefix, "") if isinstance(value, str) else value for name, value in arguments.items()}


def to_input(request: ToolRequest, answer: Choose) -> dict[str, Any]:
    """The tool's input with the answers in it, as the CLI wants it back."""
    asked = [
        str(raw.get("question", "")) for raw in _list(request.arguments.get("questions")) if isinstance(raw, Mapping)
    ]
    answers = {question: answer.answers[clean(question)] for question in asked if clean(question) in answer.answers}
    return {**request.arguments, "answers": answers}


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


def _list(value: Any) -> list[Any]:
    """What the model sent, if it is a list at all."""
    return value if isinstance(value, list) else []


def _read_choices(arguments: Mapping[str, Any]) -> tuple[ChoiceItem, ...]:
    items = []
    for raw in _list(arguments.get("questions")):
        if not isinstance(raw, Mapping):
            continue
        options = tuple(
            (clean(str(option.get("label", ""))), clean(str(option.get("description", ""))))
            for option in _list(raw.get("options"))
            if isinstance(option, Mapping)
        )
        items.append(
            ChoiceItem(
                question=clean(str(raw.get("question", ""))),
                header=clean(str(raw.get("header", ""))),
                options=options,
                multiple=bool(raw.get("multiSelect")),
            )
        )
    return tuple(items)
