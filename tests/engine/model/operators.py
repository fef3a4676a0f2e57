"""What the operator does, to instances, sessions, clients, limits and offers."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from supervisor.process.end_reason import EndReason
from tests.engine.model.bullpens import INSTANCES
from tests.engine.model.play import INSTANCE, PACE, PICK, Play, pick
from tests.engine.model.recording import rule
from tests.waiting import at_once

LIMITS = [
    ("desk", "maxClients", "2"),
    ("desk", "spares", "0"),
    ("desk", "spares", "1"),
    ("desk", "minClients", "1"),
    ("desk", "maxWait", "10s"),
    ("desk", "askingTtl", "2s"),
    ("desk", "memoryBudget", "250MiB"),
    ("clerk", "idleTtl", "5s"),
    ("desk", "dormantAfter", "500ms"),
    ("desk", "dormantAfter", "none"),
    ("", "max_agents", "2"),
    ("", "max_agents", "5"),
    ("", "connect_limit", "1"),
    ("", "memory_budget", "400MiB"),
]
"""What is changed live: (instance or host, limit, value)."""


class Operators(Play):
    @rule(
        verb=st.sampled_from(["pause", "resume", "drain", "drain now", "drain before end", "kill"]),
        instance=INSTANCE,
        pace=PACE,
    )
    def operate(self, verb: str, instance: str, pace: int | None) -> None:
        engine = self.engine
        match verb:
            case "pause":
                self.attempt(lambda: at_once(engine.pause(instance)))
            case "resume":
                self.attempt(lambda: at_once(engine.resume(instance)))
            case "kill":
                self.book.grant(str(EndReason.KILLED), instance=instance)
                self.attempt(lambda: at_once(engine.kill(instance)))
            case "drain before end":  # nothing may end by it
                self.attempt(lambda: at_once(engine.drain(instance, deadline=0.0, before_end=True)))
            case _:
                deadline = 0.0 if verb == "drain now" else None
                self.book.grant("drained", instance=instance)
                self.attempt(lambda: at_once(engine.drain(instance, deadline=deadline)))
        self.go(pace)

    @rule(pace=PACE)
    def resume_all(self, pace: int | None) -> None:
        for instance in INSTANCES:
            self.attempt(lambda name=instance: at_once(self.engine.resume(name)))
        self.go(pace)

    @rule(to=st.integers(1, 4), pace=PACE)
    def scale_the_desk(self, to: int, pace: int | None) -> None:
        self.attempt(lambda: at_once(self.engine.scale("desk", to)))
        self.go(pace)

    @rule(change=st.sampled_from(LIMITS), pace=PACE)
    def change_a_limit(self, change: tuple[str, str, str], pace: int | None) -> None:
        if change[1] == "maxWait":
            self.book.longest_wait[change[0]] = 10.0
        self.attempt(lambda: at_once(self.engine.adjust(*change)))
        self.go(pace)

    @rule(instance=INSTANCE, version=st.integers(0, 2), pace=PACE)
    def save_a_template(self, instance: str, version: int, pace: int | None) -> None:
        """No turn begins on what was wanted before; nothing that runs ends because of it (S3.1-2)."""
        self.stage.run(lambda: self.stage.edit(instance, {"system_prompt": f"Help, in version {version}."}))
        self.go(pace)

    @precondition(lambda self: self.book.sessions)
    @rule(verb=st.sampled_from(["interrupt", "hibernate", "close", "warm"]), number=PICK, pace=PACE)
    def treat_a_session(self, verb: str, number: int, pace: int | None) -> None:
        key = pick(sorted(self.book.sessions), number)
        match verb:
            case "interrupt":
                self.book.grant("interrupted by the operator", key=key)
                self.attempt(lambda: at_once(self.engine.interrupt(key)))
            case "warm":
                self.attempt(lambda: at_once(self.engine.warm(key)))
            case "hibernate":
                self.attempt(lambda: at_once(self.engine.hibernate(key)))
            case _:
                self.attempt(lambda: at_once(self.engine.close_session(key)))
        self.go(pace)

    @rule(instance=INSTANCE, pace=PACE)
    def clear_the_queue(self, instance: str, pace: int | None) -> None:
        self.book.grant("the operator cleared the queue", instance=instance)
        self.stage.run(lambda: at_once(self.engine.clear_queue(instance)))
        self.go(pace)

    @precondition(lambda self: self.engine.view.snapshot().clients)
    @rule(number=PICK, pace=PACE)
    def kill_a_client(self, number: int, pace: int | None) -> None:
        client = pick(list(self.engine.view.snapshot().clients), number).id
        self.end_client(client, EndReason.KILLED, lambda name: at_once(self.engine.kill_client(name)))
        self.go(pace)

    @precondition(lambda self: self.book.offers)
    @rule(number=PICK, is_wanted=st.booleans(), pace=PACE)
    def decide_about_an_offer(self, number: int, is_wanted: bool, pace: int | None) -> None:
        key = pick(sorted(self.book.offers), number)
        if is_wanted:
            if (ticket := self.attempt(lambda: at_once(self.engine.replay(key)))) is not None:
                self.stage.start(self.attend(self.book.replay(ticket, self.stage.now)))
        else:
            self.attempt(lambda: at_once(self.engine.drop_offer(key)))
        self.go(pace)
