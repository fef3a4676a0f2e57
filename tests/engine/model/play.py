"""What every move needs: the stage, the book, the readers, and the laws that are looked at after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from supervisor.api import events as past
from supervisor.api.errors import JournalFailed, NotAccepting, Refused, Saturated, Suspended
from supervisor.api.outcomes import outcome_word
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Deny
from supervisor.api.snapshot import Snapshot
from supervisor.api.states import InstanceState
from supervisor.engine.housekeeping import TICK
from supervisor.engine.supervisor import Supervisor
from supervisor.process.end_reason import EndReason
from supervisor.scheduling.dispatcher import Decision, Scene, Sleep, Wake
from supervisor.testing import FakeConnection
from tests.engine.model.book import Book, Broken
from tests.engine.model.bullpens import BULLPENS, EXPECTED_BYTES, INSTANCES, Figures, make_bullpen
from tests.engine.model.entry import Entry
from tests.engine.model.kept import read_journal
from tests.engine.model.laws import (
    Sizes,
    breaches_at_any_time,
    breaches_at_rest,
    breaches_of_opening,
    breaches_of_the_world,
    breaches_of_waking,
)
from tests.engine.model.order import breaches_of_a_step, find_stale_shortages, find_steps_left
from tests.engine.model.reader import Reader, draw, find_differences
from tests.engine.model.recording import Move, initialize
from tests.engine.model.stage import Stage
from tests.waiting import at_once

T = TypeVar("T")

SELDOM = 20
"""Looks at the laws from one look of the lazy reader to the next."""
PATIENCE = 100
"""Events after which the lazy reader is cut: often enough to be tried."""
LONGEST_WAIT = 900
"""Seconds of the loop after which everything that was accepted has ended, once nobody makes trouble any more."""

PICK = st.integers(0, 11)
"""Chooses one of however many there are."""
PACE = st.sampled_from([None, None, None, 0, 1, 3, 6])
"""How far everybody gets after a move: until all is at rest (None), or so many rounds of the loop."""
INSTANCE = st.sampled_from(INSTANCES)


def pick(things: list[T], number: int) -> T:
    return things[number % len(things)]


def raise_if(found: list[str]) -> None:
    if found:
        raise Broken("\n".join(found))


class Play(RuleBasedStateMachine):
    """One example: a bullpen, a stage, and whatever the rules do there."""

    stage: Stage
    tally: ClassVar[Counter[str]] = Counter()
    """What all examples together have tried."""
    latest: ClassVar[list[Move]] = []
    """The moves of the example that was played last."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[Move] = []
        Play.latest = self.order

    # The beginning and the end

    @initialize(bullpen=BULLPENS, ending=st.sampled_from(["resolve", "stop", "cancel", "lose"]))
    def open_the_bullpen(self, bullpen: Figures, ending: str) -> None:
        self.ending = ending
        made = make_bullpen(bullpen)
        self.book = Book(made.templates)
        self.sizes = Sizes()
        self.looks = 0
        self.late: dict[str, float] = {}
        """What was not as it should be: since when."""
        self.openings: list[str] = []
        """What was wrong with opening a client when one was opened, or with any other step."""
        self.stage = Stage(made, self.judge_opening, self.judge_step)
        self.stage.world.expected_bytes = EXPECTED_BYTES
        self.watch()
        self.go(None)

    def watch(self) -> None:
        self.listener = self.stage.run(lambda: Reader(at_once(self.engine.watch())))
        self.idler = self.stage.run(lambda: Reader(at_once(self.engine.watch()), patience=PATIENCE))
        self.stage.wake()

    def judge_opening(self, instance: str) -> None:
        self.tally["clients"] += 1
        most = int(at_once(self.engine.limits())["max_agents"])
        self.openings += breaches_of_opening(self.stage, self.engine.view.snapshot(), instance, most)

    def judge_step(self, scene: Scene, step: Decision | None) -> None:
        self.openings += breaches_of_a_step(scene, step)
        if isinstance(step, Sleep):
            self.tally["put to sleep for room"] += 1
        if isinstance(step, Wake):
            self.tally["woken"] += 1
            self.openings += breaches_of_waking(self.stage, self.engine.view.snapshot(), step.slot)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            if not self.stage.is_running:
                return  # a law was broken and has been reported
            self.end()
        finally:
            left = [] if self.stage.loop.is_closed() else self.stage.close()
            self.stage.remove()
        raise_if(left)

    def end(self) -> None:
        if self.ending == "resolve":
            self.resolve_everything()
        if self.ending == "lose":
            self.stage.lose()
            self.book.reopen(read_journal(self.stage.folder / "state"))
        else:
            self.end_in_order()
        self.count()

    def end_in_order(self) -> None:
        """Everybody who was promised something is told, and nobody is left behind."""
        self.book.grant(str(EndReason.STOPPING))
        if self.ending == "cancel":
            self.stage.cancel()
        else:
            self.stage.stop()
        self.stage.settle()
        self.listen()
        picture = self.engine.view.snapshot()
        raise_if(list(breaches_of_the_world(self.stage, self.book)))
        raise_if([f"{one!r} was left alive" for one in self.stage.live])
        raise_if([f"{row} was left in a pool" for row in picture.clients])
        raise_if([f"{question} was left open" for question in picture.questions])
        for entry in self.book.entries.values():
            if entry.ticket is not None and entry.told is None and entry.error is None:
                raise Broken(f"{entry} ended as {entry.outcome}, and its caller was told nothing")
            if entry.is_open and not isinstance(entry.error, JournalFailed):
                raise Broken(f"{entry} has neither an outcome nor a next run")
        self.book.reopen(read_journal(self.stage.folder / "state"))

    def count(self) -> None:
        self.tally["examples"] += 1
        self.tally["supervisors"] += self.stage.lives
        self.tally["prompts"] += len(self.book.entries)
        self.tally.update(outcome_word(entry.outcome) for entry in self.book.entries.values() if entry.outcome)

    def resolve_everything(self) -> None:
        """No more trouble: then whatever was accepted ends, in bounded time."""
        world, stage = self.stage.world, self.stage
        world.connect_failures.clear()
        world.can_suspend = True
        world.on_prompt = self.answer_at_once
        stage.run(stage.disk.heal)
        self.open_the_gate()
        self.go(None)
        for name in INSTANCES:
            self.attempt(lambda name=name: at_once(self.engine.adjust(name, "maxWait", "none")))
        self.book.is_calm = True
        until = stage.now + LONGEST_WAIT
        while self.book.open and stage.now < until:
            self.resolve_once()
            stage.pass_time(1.0)
            self.listen()
        raise_if([f"{entry} waits for ever" for entry in self.book.open])
        self.look_at_the_laws()
        self.stage.pass_time(3 * TICK)
        self.look_at_the_laws()

    def resolve_once(self) -> None:
        for row in self.engine.view.snapshot().instances:
            if row.state is not InstanceState.RUNNING:
                self.attempt(lambda name=row.name: at_once(self.engine.resume(name)))
        for question in self.engine.view.open_questions():
            self.attempt(lambda question=question: at_once(self.engine.answer(question.id, Deny())))
        self.stage.settle()
        for connection in self.stage.talking:
            self.answer_prompt(connection)
        for connection in self.stage.live:
            connection.memory_bytes = EXPECTED_BYTES
            if connection.is_hanging:
                self.end_client(
                    connection.launch.client_id, EndReason.KILLED, lambda name: at_once(self.engine.kill_client(name))
                )

    # Driving

    @property
    def engine(self) -> Supervisor:
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
            if isinstance(event, past.ClientDormant | past.ClientWoken | past.TurnPutBack):
                self.tally[type(event).__name__] += 1
        self.book.take_out_refused()
        for entry in self.book.open:
            # What a restart has taken over, or sends again, has a ticket as well; nobody was given it.
            if entry.ticket is None and (turn := self.engine._turns.get(entry.turn_id)) is not None:
                entry.ticket = turn.ticket
                self.stage.start(self.attend(entry))
        written = self.stage.world.written
        for one in written:
            self.book.note_written(one)
        written.clear()

    def attempt(self, call: Callable[[], T]) -> T | None:
        """What is refused changes nothing."""
        try:
            return self.stage.run(call)
        except Refused:
            return None

    def submit(self, prompt: Prompt) -> None:
        """For inside the loop."""
        self.listen()  # what came before it stands in the book before it
        try:
            ticket = at_once(self.engine.submit(prompt))
        except (NotAccepting, Saturated):
            return
        entry = self.book.accept(ticket, prompt, self.stage.now)
        self.stage.start(self.attend(entry))

    async def attend(self, entry: Entry) -> None:
        """What a caller does: waits for its one outcome."""
        assert entry.ticket is not None, "it was handed in just now"
        try:
            await entry.ticket.accepted()
            entry.is_accepted = True
            entry.told = await entry.ticket.outcome()
        except (JournalFailed, Suspended) as error:
            entry.error = error

    def new_text(self) -> str:
        return f"prompt {len(self.book.entries)}"

    def answer_prompt(self, connection: FakeConnection, words: int = 1, rests: bool = True) -> None:
        def answer() -> None:
            if connection in self.stage.talking:
                self.book.replied.add((connection.launch.client_id, connection.prompts[-1]))
                connection.reply("words " * words, rests=rests)

        self.stage.run(answer)

    def answer_at_once(self, connection: FakeConnection, text: str) -> None:
        self.book.replied.add((connection.launch.client_id, text))
        connection.reply(text)

    def end_client(self, client: str, reason: EndReason, end: Callable[[str], object]) -> None:
        """What runs there may end for that reason."""

        def call() -> None:
            for row in self.engine.view.snapshot().sessions:
                if row.client_id == client and row.turn_id:
                    self.book.entries[row.turn_id].grounds.add(str(reason))
            end(client)

        self.listen()
        self.attempt(call)

    def open_the_gate(self) -> None:
        gate, self.stage.world.gate = self.stage.world.gate, None
        if gate is not None:
            self.stage.run(gate.set)

    # The laws

    @invariant()
    def look_at_the_laws(self) -> None:
        self.listen()
        picture = self.engine.view.snapshot()
        found = [*self.openings, *breaches_at_any_time(self.stage, self.book, picture, self.sizes)]
        found += self.find_late(picture)
        if self.stage.is_at_rest:
            found += breaches_at_rest(self.stage, self.book, picture)
        self.looks += 1
        if self.looks % SELDOM == 0:
            self.idler.catch_up()
            found += find_differences(self.idler.picture, draw(picture))[0]
        raise_if(found)

    def find_late(self, picture: Snapshot) -> Iterator[str]:
        """What is not as it should be only until the housekeeping has looked: seen before, and a tick ago."""
        wrong, late = find_differences(self.listener.picture, draw(picture))
        yield from wrong
        if self.stage.is_at_rest:
            at_once, soon = find_steps_left(self.stage, 2 * TICK)
            yield from at_once
            late += soon + find_stale_shortages(self.stage)
        self.late = {words: self.late.get(words, self.stage.now) for words in late}
        yield from (words for words, since in self.late.items() if self.stage.now - since > 2 * TICK)
