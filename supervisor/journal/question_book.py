"""What is noted of questions: asked, answered, an approval taken back."""

from __future__ import annotations

from supervisor.api.codec import pack_question
from supervisor.api.questions import Question, QuestionOutcome
from supervisor.journal import notes
from supervisor.journal.note_taking import NoteTaker


class QuestionBook:
    """The part of the journal for questions and their answers."""

    def __init__(self, taker: NoteTaker) -> None:
        self._notes = taker

    def note(self, question: Question) -> None:
        body = pack_question(question)
        self._notes.note(notes.ASK, question.id, *question.key, question.turn_id, question.asked_at, body)

    def settle(self, question_id: str, at: float, outcome: QuestionOutcome, by: str, answer: str) -> None:
        """Notes how a question ended. A second call for the same question changes nothing."""
        self._notes.note(notes.SETTLE_QUESTION, at, outcome.value, by, answer, question_id)

    def take_back_approval(self, question_id: str, at: float, words: str) -> None:
        """A question that was settled as approved counts as lost."""
        self._notes.note(notes.TAKE_BACK_APPROVAL, at, words, question_id)
