"""What the dashboard shows of templates that are edited, and of instances that come and go with them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor import CacheStatistics, ContextRow, Contexts, InstanceState, UnknownAgent
from tests.tui import stage
from tests.tui.stage_engine import NOW, StageEngine
from tests.tui.theatre import playing, screen_text
from tests.waiting import until
from tui.screens.chat.chat import ChatScreen
from tui.wording.facts import instance_facts

pytestmark = pytest.mark.anyio


class Prepared(StageEngine):
    async def contexts(self) -> Contexts:
        row = ContextRow(
            key="helpdesk:/srv/agents:service",
            instance="helpdesk",
            version="0a1b2c3d4e5f6071",
            tools=("Read", "Grep"),
            names_tools=True,
            skills=("pdf",),
            tools_hash="1",
            skills_hash="2",
            prompt_characters=1234,
            created_at=NOW,
            last_used_at=NOW,
            ttl=1800.0,
            uses=7,
            build_seconds=0.0412,
            bytes=2000,
        )
        return Contexts((row,), (CacheStatistics("contexts", 1, 256, 1800.0, hits=49, misses=1, build_seconds=0.04),))


def fill(engine: StageEngine) -> StageEngine:
    engine.put(*stage.busy().instances.values(), *stage.busy().sessions.values(), *stage.busy().clients.values())
    return engine


async def test_contexts_are_listed_with_their_caches() -> None:
    """S4.27, S4.30"""
    async with playing(fill(Prepared()), size=(160, 30)) as (app, pilot):
        await pilot.press(":", *"contexts", "enter")
        await until(lambda: "0a1b2c3d" in screen_text(app))
        text = screen_text(app)
        for words in ("helpdesk", "41.2 ms", "2 tools, 1 skills", "cache contexts", "98% hits", "1/256"):
            assert words in text, words


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 40)])
async def test_drift_and_a_broken_edit_are_shown_also_on_a_small_screen(size: tuple[int, int]) -> None:
    """S3.1-2"""
    engine = fill(StageEngine())
    row = engine.instances["helpdesk"]
    engine.put(replace(row, outdated=2, rolled=1, to_roll=3, note="rolled 1 of 3"))
    client = next(one for one in engine.clients.values() if one.instance == "helpdesk")
    engine.put(replace(client, is_outdated=True, tool=""))
    async with playing(engine, size=size) as (app, pilot):
        await until(lambda: "2↻" in screen_text(app))
        facts = dict(instance_facts(engine.instances["helpdesk"], {}, NOW))
        assert facts["template"] == "version 1 since bullpen started; rolled 1 of 3, 2 clients on an earlier one"
        await pilot.press("3", "z")
        await until(lambda: "↻ earlier" in screen_text(app))
        await pilot.press("escape", "1")
        mistake = "helpdesk.md:4: maxTurns must be a whole number, not 'no'"
        engine.put(replace(row, template_mistake=mistake, note=mistake))
        engine.put_host(left_out=(f"{mistake} (the version before goes on)",))
        await until(lambda: "1 broken edit (H)" in screen_text(app))
        line = next(one for one in screen_text(app).splitlines() if "helpdesk" in one and "running" in one)
        assert " edit" in line, "among what it needs, which is shown at any width"
        await pilot.press("H")
        await until(lambda: "must be a whole number" in screen_text(app) and "templates" in screen_text(app))


class Shrinking(StageEngine):
    """Says of an instance that has gone what the real one does."""

    async def limits(self, instance: str = "") -> dict[str, str]:
        if instance and instance not in self.instances:
            raise UnknownAgent(f"no agent {instance}")
        return await super().limits(instance)

    def close(self, name: str) -> None:
        del self.instances[name]
        self.feed.touch_instance(name)
        for key in [key for key in self.sessions if key.instance == name]:
            del self.sessions[key]
            self.feed.touch_session(key)
        for client in [one for one in self.clients.values() if one.instance == name]:
            del self.clients[client.id]
            self.feed.touch_client(client.id)


async def test_an_instance_that_goes_with_its_template_leaves_nothing_behind_and_comes_back() -> None:
    """Also while it is the one that everything is shown of, and one of its conversations is open."""
    engine = Shrinking()
    fill(engine)
    row = engine.instances["helpdesk"]
    async with playing(engine, size=(120, 36)) as (app, pilot):
        await pilot.press("1", "j", "j", "0")
        engine.put(replace(row, state=InstanceState.DRAINING, is_removed=True, note="its template was removed"))
        await until(lambda: "its template was removed" in screen_text(app))
        await pilot.press("d")
        await until(lambda: "removed: the instance is closed when it is empty" in screen_text(app))
        await pilot.press("escape", "2", "enter")
        await until(lambda: isinstance(app.screen, ChatScreen))
        for name in tuple(engine.instances):
            engine.close(name)
        await pilot.press("x", "enter")
        await pilot.press("escape")
        await until(lambda: not isinstance(app.screen, ChatScreen))
        for key in ("1", "d", "escape", "2", "x", "D", "escape", "3", "K", "escape", "0", "i", "escape", "n", "escape"):
            await pilot.press(key)
        engine.put(row)
        await pilot.press("1")
        await until(lambda: "helpdesk" in screen_text(app))
