"""Simulated callers: a handful of people who come, ask, think, ask again, and now and then all come at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from supervisor.api.engine import Engine, Ticket
from supervisor.api.errors import BullpenError, NotAccepting, Refused, Saturated, UnknownAgent
from supervisor.api.prompts import Priority, Prompt
from supervisor.rehearsal.errands import ALARM, ERRANDS

MAX_OUTSTANDING = 3
"""Turns one person ever waits for at the same time."""

MAX_TRIES = 4
"""How often a refused prompt is brought again before the person lets it be."""

CLOSED_FOR = 20.0
"""Seconds after which a caller tries an instance again that refused everything."""

LONGEST_BACK_OFF = 30.0
"""Seconds; a queue that asks for more is tried again all the same."""

BETWEEN_ALARMS = (70.0, 130.0)
"""Seconds between two rushes, in which every caller writes to the helpdesk."""


@dataclass(frozen=True, slots=True)
class Contact:
    """An agent that a person talks to, and in which session."""

    agent: str
    session: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    contacts: tuple[Contact, ...]
    pause: tuple[float, float]
    """Seconds of thinking between two prompts, from and to."""
    hurry: float = 0.0
    """How likely this person is to bring several things at once."""


PEOPLE = (
    Person("ana", (Contact("helpdesk"), Contact("helpdesk", "travel"), Contact("lookup")), (4, 12)),
    Person("boris", (Contact("helpdesk", "laptop"), Contact("clerk"), Contact("lookup")), (6, 18), hurry=0.25),
    Person("chiara", (Contact("admin", "wiki"), Contact("admin", "access"), Contact("helpdesk")), (6, 16)),
    Person("dmitri", (Contact("helpdesk"), Contact("helpdesk", "onboarding")), (3, 9), hurry=0.15),
    Person("emeka", (Contact("clerk"), Contact("lookup"), Contact("helpdesk")), (5, 14), hurry=0.5),
    Person("freya", (Contact("admin", "rollout"), Contact("helpdesk", "phone"), Contact("lookup")), (8, 20)),
    Person("goran", (Contact("helpdesk"), Contact("clerk"), Contact("lookup")), (4, 22), hurry=0.3),
)


async def play(engine: Engine, seed: int = 1, pace: float = 1.0) -> None:
    """Lets the callers live until it is cancelled. `pace` multiplies every pause: 1 is human, less is hectic.

    People only go where there is an agent; with none of theirs they stay at home. Refusals are taken in stride.
    Questions of the agents are left to the operator.
    """
    alarm = _Alarm()
    async with anyio.create_task_group() as group:
        for number, person in enumerate(PEOPLE):
            caller = _Caller(person, engine, random.Random(f"{seed}:{person.name}"), pace, alarm, number)
            group.start_soon(caller.live)
        group.start_soon(alarm.ring_again_and_again, random.Random(f"{seed}:alarm"), pace)


async def _wait_for(ticket: Ticket) -> None:
    """Callers leave when the engine stops, whatever became of their prompts."""
    with suppress(BullpenError):
        await ticket.outcome()


class _Alarm:
    """A rush: every caller writes about the same thing at once."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    async def ring_again_and_again(self, dice: random.Random, pace: float) -> None:
        while True:
            await anyio.sleep(dice.uniform(*BETWEEN_ALARMS) * pace)
            rung, self._rung = self._rung, anyio.Event()
            rung.set()

    async def is_heard_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._rung.wait()
            return True
        return False


class _Caller:
    """One person's day."""

    def __init__(
        self, person: Person, engine: Engine, dice: random.Random, pace: float, alarm: _Alarm, number: int
    ) -> None:
        self._person = person
        self._engine = engine
        self._dice = dice
        self._pace = pace
        self._alarm = alarm
        self._number = number
        self._closed: set[str] = set()
        """Agents that do not exist here."""

    async def live(self) -> None:
        await anyio.sleep(self._number * self._dice.uniform(0.4, 1.2) * self._pace)
        while contacts := [contact for contact in self._person.contacts if contact.agent not in self._closed]:
            if self._dice.random() < self._person.hurry:
                await self._bring_several(contacts)
            else:
                contact = self._dice.choice(contacts)
                await self._converse(contact, self._dice.choice(ERRANDS[contact.agent]))
            await self._think()

    async def _converse(self, contact: Contact, errand: Sequence[str]) -> None:
        for number, text in enumerate(errand):
            if number:
                await self._think()
            ticket = await self._submit(contact, text)
            if ticket is None:
                return
            await _wait_for(ticket)

    async def _bring_several(self, contacts: Sequence[Contact]) -> None:
        """Sends several prompts at once, perhaps to one instance, and waits for all outcomes."""
        tickets: list[Ticket] = []
        for _ in range(self._dice.randint(2, MAX_OUTSTANDING)):
            contact = self._dice.choice(contacts)
            ticket = await self._submit(contact, self._dice.choice(ERRANDS[contact.agent])[0])
            if ticket is not None:
                tickets.append(ticket)
        for ticket in tickets:
            await _wait_for(ticket)

    async def _think(self) -> None:
        seconds = self._dice.uniform(*self._person.pause) * self._pace
        if await self._alarm.is_heard_within(seconds) and "helpdesk" not in self._closed:
            await self._converse(Contact("helpdesk"), [ALARM[self._number % len(ALARM)]])

    async def _submit(self, contact: Contact, text: str) -> Ticket | None:
        """Brings one prompt, again and again if need be. None when it was given up."""
        prompt = Prompt(contact.agent, text, self._person.name, contact.session, priority=self._priority(contact))
        for attempt in range(1, MAX_TRIES + 1):
            try:
                return await self._engine.submit(prompt)
            except UnknownAgent:
                self._closed.add(contact.agent)
                return None
            except Saturated as refusal:
                wait = min(refusal.retry_after, LONGEST_BACK_OFF) * attempt
            except NotAccepting:
                wait = CLOSED_FOR
            except Refused:
                return None
            await anyio.sleep(wait * self._dice.uniform(0.8, 1.4) * self._pace)
        return None

    def _priority(self, contact: Contact) -> Priority:
        """A colleague's queue has priorities; most things are normal."""
        return self._dice.choices(list(Priority), [2, 15, 70, 13])[0] if contact.agent == "clerk" else Priority.NORMAL
