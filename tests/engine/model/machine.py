"""The moves: what callers, the operator, agents, processes, clocks and disks may do, in any order and at any pace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor.client import EndReason
from supervisor.client_events import Result
from supervisor.connection import ToolRequest
from supervisor.errors import AlreadyAnswered, ConnectFailed, NotAccepting, Refused, Saturated
from supervisor.housekeeping import TICK
from supervisor.model import Allow, Deny, Priority, Prompt, QuestionOutcome, Source, outcome_word
from supervisor.templates import Template
from supervisor.testing import FakeConnection, hold
from tests.engine.model.book import STATUS_KINDS, Book, Broken, Entry
from tests.engine.model.laws import Sizes, breaches_at_any_time, breaches_at_rest, find_steps_left
from tests.engine.model.reader import Reader, differences, draw
from tests.engine.model.stage import House, Stage

T = TypeVar("T")

INSTANCES = ("desk", "clerk", "lookup")
USERS = ("ana", "boris", "chen")
SELDOM = 20
"""Looks at the laws from one look of the lazy reader to the next."""
PATIENCE = 100
"""Events after which the lazy reader is cut: often enough to be tried."""
LONGEST_WAIT = 900.0
"""Seconds of the loop after which everything that was accepted has ended, once nobody makes trouble any more."""

PICK = st.integers(0, 11)
"""Chooses one of however many there are."""
PACE = st.sampled_from([None, None, None, 0, 1, 3, 6])
"""How far everybody gets after a move: until all is at rest (None), or so many rounds of the loop."""
INSTANCE = st.sampled_from(INSTANCES)


def pick(things: list[T], number: int) -> T:
    return things[number % len(things)]


class PoolModel(RuleBasedStateMachine):
    """Each rule makes one move and lets the engine run for a while; the laws are looked at after each."""

    stage: Stage
    tally: ClassVar[Counter[str]] = Counter()
    """What all examples together have tried."""

    # The beginning and the end

    @initialize(
        sessions=st.integers(1, 3),
        extra_clients=st.integers(0, 1),
        spares=st.integers(0, 1),
        min_clients=st.integers(0, 1),
        max_agents=st.integers(2, 7),
        connect_limit=st.integers(1, 3),
        stall=st.sampled_from(["none", 50]),
        ending=st.sampled_from(["resolve", "stop", "cancel"]),
    )
    def open_the_house(
        self,
        sessions: int,
        extra_clients: int,
        spares: int,
        min_clients: int,
        max_agents: int,
        connect_limit: int,
        stall: str | int,
        ending: str,
    ) -> None:
        common: dict[str, object] = {"idle_ttl": 60}
        desk = {
            "concurrency": {"maxSessions": sessions},
            "pool": common
            | {"maxClients": sessions + extra_clients, "spares": spares, "minClients": min(min_clients, sessions)},
            "queue": {"maxWaiting": 12, "maxWaitingPerSession": 6},
            "session_ttl": 900,
            "question_ttl": 200,
            "stall_timeout": stall,
        }
        self.templates = (
            _make_template("desk", **desk),
            _make_template("clerk", archetype="employee", pool=common, session_ttl=900),
            _make_template("lookup", archetype="tool", pool=common, session_ttl=900),
        )
        self.limits = {"max_agents": max_agents, "connect_limit": connect_limit}
        settings = self.limits | {"cleanup_interval": 5, "memory_interval": 1e9}
        self.ending = ending
        self.book = Book(self.templates)
        self.sizes = Sizes()
        self.looks = 0
        self.lost_transcripts: set[str] = set()
        self.stage = Stage(House(self.templates, dict(settings)))
        self.listener = self.stage.run(lambda: Reader(self.engine.watch()))
        self.idler = self.stage.run(lambda: Reader(self.engine.watch(), patience=PATIENCE))
        self.go(None)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            if not self.stage.is_running:
                return  # a law was broken and has been reported
            self.end()
        finally:
            left = self.stage.close()
        _raise_if(left)

    def end(self) -> None:
        if self.ending == "resolve":
            self.resolve_everything()
        self.book.grant(str(EndReason.STOPPING))
        if self.ending == "cancel":
            self.stage.cancel()
        else:
            self.stage.stop()
        self.listen()
        picture = self.engine.snapshot()
        self.count()
        _raise_if(self.stage.world.violations)
        _raise_if([f"{entry} has no outcome" for entry in self.book.open])
        _raise_if([f"{one!r} was left alive" for one in self.stage.world.live])
        _raise_if([f"{row} was left in a pool" for row in picture.clients])
        _raise_if([f"{question} was left open" for question in picture.questions])

    def count(self) -> None:
        self.tally["examples"] += 1
        self.tally["prompts"] += len(self.book.entries)
        self.tally["clients"] += len(self.stage.world.connections)
        self.tally.update(outcome_word(entry.outcome) for entry in self.book.entries.values() if entry.outcome)

    def resolve_everything(self) -> None:
        """No more trouble: then whatever was accepted ends, in bounded time."""
        world = self.stage.world
        world.connect_failures.clear()
        self.open_the_gate()
        world.on_prompt = self.answer_at_once
        self.book.calm_from = self.stage.now
        while self.book.open and self.stage.now < self.book.calm_from + LONGEST_WAIT:
            for name in INSTANCES:
                self.attempt(lambda name=name: self.engine.resume(name))
            for question in self.engine.open_questions():
                self.attempt(lambda question=question: self.engine.answer(question.id, Deny()))
            self.stage.settle()
            for connection in self.stage.talking:
                self.answer_prompt(connection)
            for connection in world.live:
                if connection.is_hanging:
                    self.kill_client(connection.launch.client_id)
            self.stage.pass_time(1.0)
            self.listen()
        _raise_if([f"{entry} waits for ever" for entry in self.book.open])
        self.look_for_steps_left()
        self.look_at_the_laws()

    # Driving

    @property
    def engine(self) -> Any:
        return self.stage.supervisor

    def go(self, pace: int | None) -> None:
        if pace is None:
            self.stage.settle()
        else:
            self.stage.step(pace)
        self.listen()

    def listen(self) -> None:
        changes = self.listener.catch_up()
        assert changes.snapshot is None, "the model's own reader was cut"
        for event in changes.events:
            self.book.hear(event, self.stage.now)

    def attempt(self, call: Callable[[], T]) -> T | None:
        """What is refused changes nothing."""
        try:
            return self.stage.run(call)
        except Refused:
            return None

    # The laws

    @invariant()
    def look_at_the_laws(self) -> None:
        self.listen()
        picture = self.engine.snapshot()
        found = list(breaches_at_any_time(self.stage, self.book, picture, self.sizes, self.limits))
        found += differences(self.listener.picture, draw(picture))
        if self.stage.is_at_rest:
            found += breaches_at_rest(self.stage, self.book, picture)
        self.looks += 1
        if self.looks % SELDOM == 0:
            self.idler.catch_up()
            found += differences(self.idler.picture, draw(picture))
        _raise_if(found)

    def look_for_steps_left(self) -> None:
        """Whatever can be done is done, at the latest when the housekeeping has looked."""
        if left := find_steps_left(self.stage):
            self.stage.pass_time(2 * TICK)
            self.listen()
            still = find_steps_left(self.stage)
            _raise_if([f"{name} has a step left that nobody takes: {still[name]}" for name in left.keys() & still])

    # Callers

    def submit(self, prompt: Prompt) -> Entry | None:
        try:
            ticket = self.engine.submit(prompt)
        except (NotAccepting, Saturated):
            return None
        return self.book.accept(ticket, prompt, self.stage.now)

    def new_text(self) -> str:
        return f"prompt {len(self.book.entries)}"

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
        self.attempt(lambda: self.engine.withdraw(entry.ticket.turn_id))
        entry.grounds.add("withdrawn by its caller")
        self.go(pace)

    @precondition(lambda self: self.book.open)
    @rule(number=PICK, first=PACE, pace=PACE)
    def wait_and_lose_patience(self, number: int, first: int | None, pace: int | None) -> None:
        """Whoever stops waiting for an outcome changes nothing."""
        waiter = self.stage.start(pick(self.book.open, number).ticket.outcome())
        self.go(first)
        self.stage.run(waiter.cancel)
        self.go(pace)

    # Agents

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

    def answer_prompt(self, connection: FakeConnection, words: int = 1, rests: bool = True) -> None:
        def answer() -> None:
            if connection in self.stage.talking:
                self.book.replied.add(connection.prompts[-1])
                connection.reply("words " * words, rests=rests)

        self.stage.run(answer)

    @rule(at_once=st.booleans())
    def change_their_minds(self, at_once: bool) -> None:
        """From now on agents answer each prompt at once, or only when told to."""
        self.stage.world.on_prompt = self.answer_at_once if at_once else hold

    def answer_at_once(self, connection: FakeConnection, text: str) -> None:
        self.book.replied.add(text)
        connection.reply(text)

    @precondition(lambda self: self.stage.talking)
    @rule(number=PICK, noise=st.sampled_from(["words", "unsolicited", 401, 429, 500]), pace=PACE)
    def babble(self, number: int, noise: str | int, pace: int | None) -> None:
        """Words of a reply, the Result of a turn that the process began by itself, or an error of the API."""
        connection = pick(self.stage.talking, number)

        def make_noise() -> None:
            if connection not in self.stage.talking:
                return
            if noise == "words":
                connection.say("hm ")
            elif noise == "unsolicited":
                connection.tell(Result(None, "done", False, False, "completed", "", None, is_own=False))
            else:
                self.book.refused[connection.prompts[-1]] = STATUS_KINDS[int(noise)]
                connection.fail(int(noise))

        self.stage.run(make_noise)
        self.go(pace)

    @precondition(lambda self: self.stage.talking)
    @rule(number=PICK, pace=PACE)
    def pose_a_question(self, number: int, pace: int | None) -> None:
        connection = pick(self.stage.talking, number)

        async def ask() -> None:
            if connection.is_alive and connection.is_in_turn:
                await connection.ask(ToolRequest("Write", {"path": "notes"}))

        self.stage.start(ask())
        self.go(pace)

    @precondition(lambda self: self.engine.open_questions())
    @rule(number=PICK, answer=st.sampled_from([Allow(), Allow(always=True), Deny("no")]), pace=PACE)
    def answer_a_question(self, number: int, answer: Allow | Deny, pace: int | None) -> None:
        question = pick(list(self.engine.open_questions()), number)
        self.attempt(lambda: self.engine.answer(question.id, answer))
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
        with suppress(AlreadyAnswered):
            self.stage.run(lambda: self.engine.answer(question, Allow()))
            raise Broken(f"an answer to the settled question {question} was taken")

    # Processes

    @precondition(lambda self: self.stage.world.live)
    @rule(number=PICK, trouble=st.sampled_from(["dies", "dies", "hangs", "stays"]), pace=PACE)
    def strike_a_process(self, number: int, trouble: str, pace: int | None) -> None:
        """It dies, it hangs, or it will leave only when it is killed."""
        connection = pick(self.stage.world.live, number)
        if trouble == "dies":
            self.book.dead.add(connection.launch.client_id)
            self.stage.run(connection.die)
        elif trouble == "hangs":
            self.book.hung.add(connection.launch.client_id)
            connection.hang()
        else:
            connection.survives_terminate = True
        self.go(pace)

    @rule(trouble=st.sampled_from(["fail", "fail twice", "take long"]))
    def spoil_the_next_starts(self, trouble: str) -> None:
        world = self.stage.world
        if trouble == "take long":
            world.gate = world.gate or self.stage.run(anyio.Event)
        else:
            count = 2 if trouble == "fail twice" else 1
            world.connect_failures += [ConnectFailed("it would not start") for _ in range(count)]

    @precondition(lambda self: self.stage.world.gate is not None)
    @rule(pace=PACE)
    def let_them_start(self, pace: int | None) -> None:
        self.open_the_gate()
        self.go(pace)

    def open_the_gate(self) -> None:
        gate, self.stage.world.gate = self.stage.world.gate, None
        if gate is not None:
            self.stage.run(gate.set)

    @precondition(lambda self: self.stage.world.transcripts)
    @rule(number=PICK)
    def lose_a_transcript(self, number: int) -> None:
        """Somebody has tidied the disk."""
        world = self.stage.world
        held = {one.launch.session_uuid for one in world.live}
        if loose := [uuid for uuid in world.transcripts if uuid not in held]:
            del world.transcripts[pick(loose, number)]

    # The operator

    @rule(verb=st.sampled_from(["pause", "resume", "drain", "drain now", "kill"]), instance=INSTANCE, pace=PACE)
    def operate(self, verb: str, instance: str, pace: int | None) -> None:
        engine = self.engine
        match verb:
            case "pause":
                self.attempt(lambda: engine.pause(instance))
            case "resume":
                self.attempt(lambda: engine.resume(instance))
            case "kill":
                self.attempt(lambda: engine.kill(instance))
                self.book.grant(str(EndReason.KILLED), instance=instance)
            case _:
                deadline = 0.0 if verb == "drain now" else None
                self.attempt(lambda: engine.drain(instance, deadline=deadline))
                self.book.grant("drained", instance=instance)
        self.go(pace)

    @rule(pace=PACE)
    def resume_all(self, pace: int | None) -> None:
        for instance in INSTANCES:
            self.attempt(lambda name=instance: self.engine.resume(name))
        self.go(pace)

    @rule(to=st.integers(1, 4), pace=PACE)
    def scale_the_desk(self, to: int, pace: int | None) -> None:
        self.attempt(lambda: self.engine.scale("desk", to))
        self.go(pace)

    @precondition(lambda self: self.book.sessions)
    @rule(verb=st.sampled_from(["interrupt", "hibernate", "close"]), number=PICK, pace=PACE)
    def treat_a_session(self, verb: str, number: int, pace: int | None) -> None:
        key = pick(sorted(self.book.sessions), number)
        match verb:
            case "interrupt":
                self.attempt(lambda: self.engine.interrupt(key))
                self.book.grant("interrupted by the operator", key=key)
            case "hibernate":
                self.attempt(lambda: self.engine.hibernate(key))
            case _:
                self.attempt(lambda: self.engine.close_session(key))
        self.go(pace)

    @rule(instance=INSTANCE, pace=PACE)
    def clear_the_queue(self, instance: str, pace: int | None) -> None:
        self.stage.run(lambda: self.engine.clear_queue(instance))
        self.book.grant("the operator cleared the queue", instance=instance)
        self.go(pace)

    @precondition(lambda self: self.engine.snapshot().clients)
    @rule(number=PICK, pace=PACE)
    def kill_a_client(self, number: int, pace: int | None) -> None:
        client = pick(list(self.engine.snapshot().clients), number).id
        self.kill_client(client)
        self.go(pace)

    def kill_client(self, client: str) -> None:
        def kill() -> None:
            for row in self.engine.snapshot().sessions:
                if row.client_id == client and row.turn_id:
                    self.book.entries[row.turn_id].grounds.add(str(EndReason.KILLED))
            self.engine.kill_client(client)

        self.attempt(kill)

    # Time

    @rule(seconds=st.sampled_from([0.3, 1.5, 6.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.stage.pass_time(seconds)
        self.listen()
        self.look_for_steps_left()

    @rule(seconds=st.sampled_from([12.0, 31.0, 61.0, 300.0, 1_000.0, 40_000.0]))
    def suspend_the_machine(self, seconds: float) -> None:
        """All of it is due at once afterwards."""
        self.stage.suspend(seconds)
        self.listen()

    @rule(seconds=st.sampled_from([-7_200.0, -30.0, 7_200.0]))
    def set_the_wall_clock(self, seconds: float) -> None:
        self.stage.wall_offset += seconds
        self.go(None)


def _make_template(name: str, **keys: object) -> Template:
    return Template.model_validate({"name": name, "description": "a model", "system_prompt": "Help."} | keys)


def _raise_if(found: list[str]) -> None:
    if found:
        raise Broken("\n".join(found))
