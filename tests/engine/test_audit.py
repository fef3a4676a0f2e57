"""What operators did can be read back: who, from where, when and to what."""

from __future__ import annotations

import pytest

from supervisor.api.actor import Actor, acting
from supervisor.api.errors import Refused, UnknownTarget
from supervisor.api.events import ActionTaken
from supervisor.api.keys import SessionKey
from supervisor.api.prompts import Prompt
from supervisor.api.questions import Allow, Deny
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeWorld
from tests.engine.conftest import Start
from tests.engine.test_questions import asking, only_question
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_every_verb_is_recorded_with_who_from_where_and_when(start: Start) -> None:
    async with start() as supervisor:
        await (await supervisor.submit(Prompt("desk", "hi", user="ana"))).outcome()
        await supervisor.pause("desk")
        with acting(Actor("night shift", "http")):
            await supervisor.resume("desk")
            await supervisor.close_session(SessionKey("desk", "ana", "default"))
        with acting(Actor("operator", "command")):
            await supervisor.adjust("desk", "maxPerUser", "9")
        told = await supervisor.audit()
    async with start() as supervisor:
        assert await supervisor.audit() == told, "an earlier run's too"
        assert await supervisor.audit(2) == told[-2:]
        past = [event for event in await supervisor.past() if isinstance(event, ActionTaken)]
        assert past == list(told)
        for count in (0, 10_001, "3", True):
            with pytest.raises(Refused, match="how many actions"):
                await supervisor.audit(count)  # type: ignore[arg-type]
    assert [(one.verb, one.by, one.via, one.instance, one.user, one.detail) for one in told] == [
        ("pause", "operator", "screen", "desk", "", ""),
        ("resume", "night shift", "http", "desk", "", ""),
        ("close", "night shift", "http", "desk", "ana", ""),
        ("set", "operator", "command", "desk", "", "maxPerUser 9"),
    ]
    assert all(one.at > 1_000_000_000 for one in told)


async def test_an_answer_is_recorded_when_it_counted(start: Start, world: FakeWorld) -> None:
    """D4: with what was decided, and why where a reason was given."""
    asked = ToolRequest("Bash", {"command": "ls"})
    async with start() as supervisor, asking(supervisor, world, asked) as verdicts:
        with pytest.raises(UnknownTarget):
            await supervisor.answer("q-1", Allow())
        with acting(Actor("night shift", "http")):
            await supervisor.answer(only_question(supervisor).id, Deny("use the\nstaging host"), by="night shift")
        await until(lambda: verdicts)
        told = await supervisor.audit()
        assert [(one.verb, one.by, one.via, one.detail) for one in told] == [
            ("answer", "night shift", "http", "Bash: deny (use the staging host)")
        ]
