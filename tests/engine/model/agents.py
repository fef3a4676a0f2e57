"""What agents do in their turns: talk, ask, fail."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from supervisor.api.errors import AlreadyAnswered, UnknownTarget
from supervisor.api.questions import Allow, Deny, QuestionOutcome
from supervisor.permissions.requests import ToolRequest
from supervisor.process.reports import Limited, Result, Retrying
from supervisor.testing import FakeConnection, hold
from tests.engine.model.book import STATUS_KINDS, Broken
from tests.engine.model.play import PACE, PICK, Play, pick
from tests.engine.model.recording import rule
from tests.waiting import at_once

NOISE = ["words", "unsolicited", "limited", "retries 401", "retries 429", 401, 429, 500]


class Agents(Play):
    @precondition(lambda self: self.stage.talking)
    @rule(number=PICK, words=st.integers(0, 2), rests=st.sampled_from([True, True, False]), pace=PACE)
    def reply(self, number: int, words: int, rests: bool, pace: int | None) -> None:
        self.answer_prompt(pick(self.stage.talking, number), words, rests)
        self.go(pace)

    @precondition(lambda self: self.stage.talking)
    @rule(pace=PACE)
    def reply_everywhere(self, pace: int | None) -> None:
        for connection in self.stage.talking:
            self.answer_prompt(connection)
        self.go(pace)

    @rule(at_once=st.booleans())
    def change_their_minds(self, at_once: bool) -> None:
        """From now on agents answer each prompt at once, or only when told to."""
        self.stage.world.on_prompt = self.answer_at_once if at_once else hold

    @precondition(lambda self: self.stage.talking)
    @rule(number=PICK, noise=st.sampled_from(NOISE), pace=PACE)
    def babble(self, number: int, noise: str | int, pace: int | None) -> None:
        """Words of a reply, the Result of a turn that the process began by itself, or trouble with the API."""
        connection = pick(self.stage.talking, number)

        def make_noise() -> None:
            if connection in self.stage.talking:
                self._make_noise(connection, noise)

        self.stage.run(make_noise)
        self.go(pace)

    def _make_noise(self, connection: FakeConnection, noise: str | int) -> None:
        client, words = connection.launch.client_id, connection.prompts[-1]
        match noise:
            case "words":
                connection.say("hm ")
            case "unsolicited":
                connection.tell(Result(None, "done", False, False, "completed", "", None, is_own=False))
            case "limited":
                resets_at = self.engine._clock.wall() + 40.0
                connection.tell(Limited(is_rejected=True, resets_at=resets_at))
            case "retries 401":
                self.book.refused[client, words].add(STATUS_KINDS[401])
                connection.tell(Retrying(1, 3, 1.0, 401, "unauthorized"))
            case "retries 429":
                self.book.refused[client, words].add(STATUS_KINDS[429])
                connection.tell(Retrying(1, 3, 90.0, 429, "too many requests"))
            case status:
                self.book.refused[client, words].add(STATUS_KINDS[int(status)])
                connection.fail(int(status))

    @precondition(lambda self: self.stage.talking)
    @rule(number=PICK, tool=st.sampled_from(["Write", "Read"]), pace=PACE)
    def pose_a_question(self, number: int, tool: str, pace: int | None) -> None:
        connection = pick(self.stage.talking, number)

        async def ask() -> None:
            if connection.is_alive and connection.is_in_turn:
                await connection.ask(ToolRequest(tool, {"path": "notes"}))

        self.stage.start(ask())
        self.go(pace)

    @precondition(lambda self: self.engine.view.open_questions())
    @rule(number=PICK, answer=st.sampled_from([Allow(), Allow(always=True), Deny("no")]), pace=PACE)
    def answer_a_question(self, number: int, answer: Allow | Deny, pace: int | None) -> None:
        question = pick(list(self.engine.view.open_questions()), number)
        self.attempt(lambda: at_once(self.engine.answer(question.id, answer)))
        self.go(pace)
        if pace is None:
            expected = QuestionOutcome.DENIED if isinstance(answer, Deny) else QuestionOutcome.APPROVED
            told = self.book.settled[question.id].outcome
            if told not in (expected, QuestionOutcome.LOST):
                raise Broken(f"{question} was answered with {answer} and is {told}")

    @precondition(lambda self: self.book.settled)
    @rule(number=PICK)
    def answer_too_late(self, number: int) -> None:
        """An answer that does not count says so (S5.15)."""
        question = pick(sorted(self.book.settled), number)
        with suppress(AlreadyAnswered, UnknownTarget):
            self.stage.run(lambda: at_once(self.engine.answer(question, Allow())))
            raise Broken(f"an answer to the settled question {question} was taken")
