"""What the clock asks for several times a second does not grow with the number of clients."""

from __future__ import annotations

from collections import Counter

import pytest

from supervisor.api.prompts import Prompt
from supervisor.engine.housekeeping import Housekeeping
from supervisor.scheduling import memory_reserve
from supervisor.sessions.place import Place
from supervisor.testing import FakeWorld
from tests.engine.conftest import MakeTemplate, Start
from tests.waiting import until

pytestmark = pytest.mark.anyio

SESSIONS = 12


async def test_a_look_at_the_time_asks_nothing_of_clients_that_have_not_changed(
    start: Start, world: FakeWorld, make_template: MakeTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.29–31: with a thousand clients, a question to each of them held up every prompt for milliseconds."""
    asked: Counter[str] = Counter()
    charge, unused_since, share = memory_reserve.charge, Place.unused_since.fget, Housekeeping._share_the_host
    assert unused_since is not None
    monkeypatch.setattr(memory_reserve, "charge", lambda *given: (asked.update(["charge"]), charge(*given))[1])
    monkeypatch.setattr(Place, "unused_since", property(lambda slot: (asked.update(["age"]), unused_since(slot))[1]))
    monkeypatch.setattr(Housekeeping, "_share_the_host", lambda self: (asked.update(["look"]), share(self))[1])
    template = make_template(
        concurrency={"maxSessions": SESSIONS}, pool={"spares": 0, "idleTtl": "1h", "dormantAfter": "1h"}
    )
    async with start(template, memory_interval=3600, health_interval=3600, cleanup_interval=3600) as supervisor:
        for number in range(SESSIONS):
            await (await supervisor.submit(Prompt("desk", "hello", user=f"user-{number}"))).outcome()
        assert len(world.live) == SESSIONS
        for name in ("settled", "measured"):
            seen = asked["look"]
            await until(lambda seen=seen: asked["look"] >= seen + 2)
            if name == "settled":
                asked.clear()
        assert asked["look"] >= 2
        assert asked["charge"] == 0
        assert asked["age"] <= asked["look"] + 1, "of the one that was used first"
