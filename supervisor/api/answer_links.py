"""Addresses at which one question can be answered, for people who have nothing but a browser."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from supervisor.api.questions import Answer, Question, QuestionOutcome


class LinkedQuestion(Struct, frozen=True, gc=False):
    """The question that an address leads to, and how it stands."""

    question: Question
    outcome: QuestionOutcome | None = None
    """None while it is open."""
    by: str = ""
    """Who answered."""
    was_used: bool = False
    """It was answered by this very address."""
    is_sample: bool = False
    """Made up by `bullpen hooks test`: there is nothing to answer."""


class AnswerLinks(Protocol):
    """Each address is for one question and answers it once. The address is the permission to answer: it is a secret."""

    base_url: str
    """Where the door is reached from outside; empty while that is not known."""

    def make(self, question: Question, *, is_sample: bool = False) -> str:
        """An address of its own for that question; empty while it is not known where the door is reached."""

    def look(self, token: str) -> LinkedQuestion | None:
        """What the token leads to. None for a token that this bullpen did not make, or that it made before it was last
        started."""

    async def answer(self, token: str, answer: Answer) -> LinkedQuestion:
        """Answers the question, and returns how it then stands. Raises `UnknownTarget`, `AlreadyAnswered`, or `Refused`
        for an answer that does not fit; after `Refused` the address can be used again."""
