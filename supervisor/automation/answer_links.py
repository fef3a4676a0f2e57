"""Makes and keeps the addresses at which questions can be answered (`api.answer_links`).

An address holds 256 random bits, of which only a digest is kept here. They end with bullpen, as open questions do.
"""

from __future__ import annotations

import hashlib
import secrets

from msgspec.structs import replace

from supervisor.api.actor import Actor, acting
from supervisor.api.answer_links import LinkedQuestion
from supervisor.api.engine import Engine
from supervisor.api.errors import AlreadyAnswered, UnknownTarget
from supervisor.api.events import ApprovalLost, Event, QuestionSettled
from supervisor.api.questions import Answer, Question, QuestionOutcome

PATH = "answer"
"""Of the page, below the door's address."""
BY = "answer link"
"""Who is told to have answered."""
MOST_LINKS = 10_000
"""Addresses that are kept. The oldest are given up first, those of settled questions before others."""


class QuestionLinks:
    """Implements `AnswerLinks`."""

    def __init__(self, engine: Engine) -> None:
        self.base_url = ""
        self._engine = engine
        self._links: dict[str, LinkedQuestion] = {}
        """By the digest of the token, the oldest first."""

    def make(self, question: Question, *, is_sample: bool = False) -> str:
        if not self.base_url:
            return ""
        token = secrets.token_urlsafe(32)
        self._make_room()
        self._links[_digest(token)] = LinkedQuestion(question, is_sample=is_sample)
        return f"{self.base_url.rstrip('/')}/{PATH}/{token}"

    def look(self, token: str) -> LinkedQuestion | None:
        return self._links.get(_digest(token))

    async def answer(self, token: str, answer: Answer) -> LinkedQuestion:
        found = self.look(token)
        if found is None:
            raise UnknownTarget("this address answers no question")
        if found.is_sample:
            raise AlreadyAnswered("this was a sample: there is nothing to answer")
        if found.outcome is not None:
            raise AlreadyAnswered(f"the question is {found.outcome} already")
        with acting(Actor(BY, "http")):
            await self._engine.answer(found.question.id, answer, by=BY)
        digest = _digest(token)
        # It may have been given up meanwhile: its user was forgotten, or later links took its place.
        used = replace(self._links.get(digest, found), was_used=True)
        if digest in self._links:
            self._links[digest] = used
        return used

    def hear(self, event: Event) -> None:
        """Notes what becomes of questions. Called with every event as it happens."""
        if not self._links:
            return
        match event:
            case QuestionSettled(question=question, outcome=outcome, by=by):
                self._settle(question, outcome, by)
            case ApprovalLost(question=question):
                self._settle(question, QuestionOutcome.LOST, "")

    def forget(self, user: str) -> None:
        """Removes all addresses of that user's questions."""
        self._links = {digest: one for digest, one in self._links.items() if one.question.key.user != user}

    def _settle(self, question: Question, outcome: QuestionOutcome, by: str) -> None:
        for digest, found in self._links.items():
            if found.question.id == question.id:
                self._links[digest] = replace(found, question=_shorten(found.question), outcome=outcome, by=by)

    def _make_room(self) -> None:
        if len(self._links) >= MOST_LINKS:
            oldest = next((digest for digest, one in self._links.items() if one.outcome is not None), None)
            del self._links[oldest if oldest is not None else next(iter(self._links))]


def _shorten(question: Question) -> Question:
    """The question with its texts cut, as it is kept once settled: a call may have a million characters, and many
    questions are remembered."""
    return replace(question, detail=question.summary, diff="", choices=(), warnings=(), notes=())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
