"""A stand-in who answers what the operator leaves lying: a demo that is left alone does not come to a halt."""

from __future__ import annotations

import contextlib
import time

import anyio

from supervisor.api.engine import Engine
from supervisor.api.errors import Refused
from supervisor.api.questions import Allow, Answer, Choose, Question, QuestionKind

PATIENCE = 60.0
"""Seconds that a question is left to the operator, at pace 1."""
ROUND = 2.0
"""Seconds between two looks at the inbox, at pace 1."""
NAME = "the stand-in of the demo"
"""As it stands behind each of its answers, in the conversation and in the log."""


async def stand_in(engine: Engine, pace: float = 1.0) -> None:
    """Answers questions older than `PATIENCE` until it is cancelled: yes, or the first choice."""
    while True:
        await anyio.sleep(ROUND * pace)
        for question in (await engine.snapshot()).questions:
            if time.time() - question.asked_at > PATIENCE * pace:
                # The operator may have been quicker by a moment.
                with contextlib.suppress(Refused):
                    await engine.answer(question.id, _decide(question), by=NAME)


def _decide(question: Question) -> Answer:
    if question.kind is not QuestionKind.CHOICE:
        return Allow()
    return Choose({item.question: item.options[0][0] if item.options else "Either" for item in question.choices})
