"""The callers: some people with some sessions each, and what they ask. Every prompt has a word of its own.

The operator is one of them: offers are decided and parked pools resumed.
"""

from __future__ import annotations

import random
from itertools import count

import anyio

from tests.chaos.ledger import Handed, Ledger, Place
from tests.chaos.stage import Stage

SESSIONS_OF_A_USER = 2
MOST_OPEN = 2
"""Turns that one session ever has waiting or running."""
PAUSE = (0.05, 1.2)
"""Seconds between two prompts to one session, from and to."""
LONGEST_WAIT = 5.0
"""Seconds until a caller looks again whether there is room, or a supervisor."""
ROUND = (0.5, 6.0)
"""Seconds between two looks of the operator at a pool that may have parked itself (for 15 s at first)."""
REPLAYED = 0.6
"""Share of interrupted turns that are sent again; the others are dropped."""

REJECTION = "messages: this one is not valid"
"""What the API says of a prompt that it does not take."""

BEHIND = (
    '[[tool: Bash {{"command": "sleep 1; echo behind", "run_in_background": true, "description": "wait"}}]] '
    "[[say: began {word}]]"
)
"""A task in the background, which none of its words names."""

KINDS = {
    "[[echo]] {word}": 8,
    "[[slow: 0.8]] [[say: heard {word}]]": 6,
    "[[stream: 80 words, 0.02]] [[say: streamed {word}]]": 6,
    '[[tool: Bash {{"command": "echo made {word}"}}]] [[say: ran {word}]]': 6,
    '[[tool: Bash {{"command": "sleep 2; echo late {word}"}}]] [[say: waited {word}]]': 4,
    # In a process that all clients share; killed, it gives the call an error, and the turn goes on.
    "[[tool: mcp__words__slow {{}}]] [[say: shared {word}]]": 4,
    # Lets a process escape that has neither mark nor parent, unless there is no guard to catch it.
    '[[tool: Bash {{"command": "test $UNGUARDED || (env -i setsid sleep 600 >/dev/null 2>&1 &)"}}]] '
    "[[say: let go {word}]]": 3,
    "[[recall]] [[say: recalled {word}]]": 4,
    "[[error: 529, 1]] [[say: overcame {word}]]": 2,
    "[[stream: 20 words, 0.02]] [[cut: 1]] [[say: mended {word}]]": 2,
    # The CLI begins a turn by itself when the task has ended: what it says there is nobody's answer.
    BEHIND: 3,
    # More tokens than an integer of the journal holds.
    "[[usage: 9223372036854775808, 1]] [[say: counted {word}]]": 2,
    # The API takes neither this nor, while it stands in the conversation, what comes after it.
    f"[[reject: 400, {REJECTION}]] {{word}}": 1,
    # These two never end by themselves: somebody withdraws them, or the supervisor stops them.
    '[[tool: Bash {{"command": "sleep 600", "timeout": 600000}}]] [[say: never {word}]]': 1,
    "[[stall]] {word}": 1,
}
"""What is asked, and how often. A turn that is done has said its word."""


def make_places(sessions: int) -> list[Place]:
    return [Place(f"user{n // SESSIONS_OF_A_USER}", f"s{n % SESSIONS_OF_A_USER}") for n in range(sessions)]


class Callers:
    """Ask on and on, all at once, each in order in their own session."""

    def __init__(self, stage: Stage, ledger: Ledger, dice: random.Random) -> None:
        self._stage = stage
        self._ledger = ledger
        self._dice = dice
        self._numbers = count(1)

    async def ask_once(self, place: Place) -> None:
        """Something simple, to its end: there is a conversation that can be harmed."""
        await self._stage.submit(self._make(place, next(iter(KINDS))))
        while self._ledger.open_turns(place):
            await self._ledger.changed(LONGEST_WAIT)

    async def ask_on(self, place: Place) -> None:
        """Until it is cancelled."""
        dice = random.Random(self._dice.random())
        while True:
            await anyio.sleep(dice.uniform(*PAUSE))
            if not self._stage.is_up or len(self._ledger.open_turns(place)) >= MOST_OPEN:
                await self._ledger.changed(LONGEST_WAIT)
                continue
            (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
            await self._stage.submit(self._make(place, kind))

    async def operate(self) -> None:
        """Has a parked pool resume, mostly before it would by itself, until it is cancelled."""
        while True:
            await anyio.sleep(self._dice.uniform(*ROUND))
            await self._stage.order("resume")

    async def decide_on(self) -> None:
        """Answers the offers of interrupted turns, one way or the other, until it is cancelled."""
        while True:
            while self._stage.is_up and self._ledger.offers:
                place, turn = self._ledger.offers.popitem()
                replay = self._dice.random() < REPLAYED
                await self._stage.order("settle", user=place.user, session=place.session, turn=turn, replay=replay)
            await self._ledger.changed(LONGEST_WAIT)

    def _make(self, place: Place, kind: str) -> Handed:
        word = f"word{next(self._numbers):06d}"
        handed = Handed(word, place, kind.format(word=word))
        self._ledger.handed[word] = handed
        return handed
