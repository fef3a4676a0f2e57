"""What callers do: hand in, withdraw, lose patience."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from supervisor.api.prompts import Priority, Prompt, Source
from tests.engine.model.bullpens import USERS
from tests.engine.model.play import PACE, PICK, Play, pick
from tests.engine.model.recording import rule
from tests.waiting import at_once


class Callers(Play):
    @rule(
        user=st.sampled_from(USERS),
        session=st.sampled_from(["", "", "s2"]),
        source=st.sampled_from([Source.CALLER, Source.CALLER, Source.OPERATOR]),
        pace=PACE,
    )
    def ask_the_desk(self, user: str, session: str, source: Source, pace: int | None) -> None:
        prompt = Prompt("desk", self.new_text(), user=user, session=session, source=source)
        self.stage.run(lambda: self.submit(prompt))
        self.go(pace)

    @rule(user=st.sampled_from(USERS), pace=PACE)
    def go_on_at_the_desk(self, user: str, pace: int | None) -> None:
        self.stage.run(lambda: self.submit(Prompt("desk", self.new_text(), user=user)))
        self.go(pace)

    @rule(count=st.integers(2, 8), users=st.integers(1, 3), pace=PACE)
    def crowd_the_desk(self, count: int, users: int, pace: int | None) -> None:
        def submit_all() -> None:
            for number in range(count):
                self.submit(Prompt("desk", self.new_text(), user=USERS[number % users]))

        self.stage.run(submit_all)
        self.go(pace)

    @rule(priority=st.sampled_from(Priority), user=st.sampled_from(USERS), pace=PACE)
    def give_the_clerk_work(self, priority: Priority, user: str, pace: int | None) -> None:
        prompt = Prompt("clerk", self.new_text(), user=user, priority=priority)
        self.stage.run(lambda: self.submit(prompt))
        self.go(pace)

    @rule(user=st.sampled_from(USERS), session=st.sampled_from(["", "", "named"]), pace=PACE)
    def call_the_tool(self, user: str, session: str, pace: int | None) -> None:
        prompt = Prompt("lookup", self.new_text(), user=user, session=session)
        self.stage.run(lambda: self.submit(prompt))
        self.go(pace)

    @precondition(lambda self: self.book.open)
    @rule(number=PICK, pace=PACE)
    def withdraw(self, number: int, pace: int | None) -> None:
        entry = pick(self.book.open, number)
        entry.grounds.add("withdrawn")
        self.attempt(lambda: at_once(self.engine.withdraw(entry.turn_id)))
        self.go(pace)

    @precondition(lambda self: any(entry.ticket for entry in self.book.open))
    @rule(number=PICK, first=PACE, pace=PACE)
    def wait_and_lose_patience(self, number: int, first: int | None, pace: int | None) -> None:
        """Whoever stops waiting for an outcome changes nothing."""
        ticket = pick([entry.ticket for entry in self.book.open if entry.ticket], number)
        waiter = self.stage.start(ticket.outcome())
        waiter.add_done_callback(lambda task: task.cancelled() or task.exception())
        self.go(first)
        self.stage.run(waiter.cancel)
        self.go(pace)
