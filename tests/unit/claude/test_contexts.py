"""What all clients of a template are started with is prepared once, and goes with what it was made from (S4)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import pytest

from supervisor.claude.connector import bundled_cli
from supervisor.claude.contexts import TTL, AgentContext, ContextStore
from supervisor.claude.options import CompiledOptions, compile_options
from supervisor.claude.sdk_connection import SdkConnector
from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.config.template import Template
from supervisor.config.template_sources import find_sources
from supervisor.tools.registry import Tools

pytestmark = pytest.mark.anyio


class Turned:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Bullpen:
    """A store, and templates that are compiled for it as for the bundled CLI."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.timer = Turned()
        self.store = ContextStore(clock=Clock(wall=self.timer, steady=self.timer))
        self.settings = Settings(state_dir=folder / "state")
        self.compiled: list[str] = []

    def template(self, name: str = "desk", **keys: object) -> Template:
        base = {"name": name, "description": "x", "system_prompt": "Help.", "path": self.folder / f"{name}.md"}
        return Template.model_validate(base | keys)

    def compile(self, template: Template) -> CompiledOptions:
        self.compiled.append(template.name)
        return compile_options(template, self.settings, {})

    def prepare(self, template: Template) -> AgentContext:
        context = self.store.prepare(template, self.compile, find_sources(template, {}))
        self.store.hold(template.name, context.version)
        return context

    async def use(self, template: Template) -> AgentContext | None:
        version = compile_options(template, self.settings, {}).digest  # a connector knows it
        return await self.store.use(template, self.compile, find_sources(template, {}), version)


@pytest.fixture
def bullpen(tmp_path: Path) -> Bullpen:
    return Bullpen(tmp_path)


async def test_a_context_has_all_that_a_client_is_started_with_and_nothing_of_a_session(bullpen: Bullpen) -> None:
    """S4.13-15"""
    template = bullpen.template(tools="Read, Grep", skills=["pdf"], archetype="employee")
    context = bullpen.prepare(template)
    assert context.key == f"desk:{bullpen.folder}:employee"
    assert (context.system_prompt, context.tools, context.skills) == ("Help.", ("Read", "Grep", "Skill"), ("pdf",))
    assert (context.router.name, context.created_at, context.ttl) == ("desk", 1_000.0, 1_800.0)
    assert context.tools_hash != context.skills_hash
    with pytest.raises(dataclasses.FrozenInstanceError):
        context.key = "other"  # type: ignore[misc]


async def test_every_start_uses_what_was_prepared_once(bullpen: Bullpen) -> None:
    """S4.1"""
    template = bullpen.template()
    context = bullpen.prepare(template)
    bullpen.timer.now = 1_060.0
    assert all([await bullpen.use(template) is context for _ in range(50)])
    assert bullpen.compiled == ["desk"]
    (row,) = bullpen.store.describe().contexts
    assert (row.uses, row.created_at, row.last_used_at, row.names_tools) == (50, 1_000.0, 1_060.0, False)
    (cache,) = bullpen.store.statistics()
    assert (cache.hits, cache.misses, cache.entries) == (50, 1, 1)
    assert cache.hit_rate == 50 / 51
    assert cache.bytes == row.bytes > 0


async def test_an_edit_is_another_context_and_the_earlier_one_is_not_used_any_more(bullpen: Bullpen) -> None:
    """S4.23: prompt, tools, skills, and what is no tool at all."""
    seen = set()
    for keys in ({}, {"tools": "Read"}, {"tools": ""}, {"skills": ["pdf"]}, {"system_prompt": "Help in verse."}):
        template = bullpen.template(**keys)
        context = bullpen.prepare(template)
        assert context is await bullpen.use(template)
        seen.add((context.tools_hash, context.skills_hash, context.version))
    assert len({version for *_, version in seen}) == 5
    assert len({tools for tools, *_ in seen}) == 3, "all tools, one, and none are three things (S4.24)"
    (cache,) = bullpen.store.statistics()
    assert (cache.hits, cache.entries, cache.misses) == (5, 1, 5)
    assert await bullpen.use(bullpen.template()) is None, "nothing is built for a client that runs no turn"


async def test_of_two_versions_that_are_prepared_at_once_each_can_be_held(bullpen: Bullpen) -> None:
    """A template is saved while a shared server's other tools are compiled into the one before."""
    versions = [bullpen.template(system_prompt=words) for words in ("of the edit", "of the tools")]
    contexts = [bullpen.store.prepare(one, bullpen.compile, find_sources(one, {})) for one in versions]
    for template, context in zip(reversed(versions), reversed(contexts), strict=True):
        bullpen.store.hold("desk", context.version)
        assert await bullpen.use(template) is context
    assert [row.version for row in bullpen.store.describe().contexts] == [contexts[0].version]


async def test_what_is_prepared_for_one_instance_is_used_for_no_other(bullpen: Bullpen) -> None:
    """S4.24: the instance is the tenant, also where everything but its name is the same."""
    one, other = bullpen.template("desk"), bullpen.template("clerk")
    assert bullpen.prepare(one) is not bullpen.prepare(other)
    bullpen.store.drop("desk")
    assert [row.instance for row in bullpen.store.describe().contexts] == ["clerk"]


async def test_a_changed_skill_makes_the_contexts_stale_that_used_it(bullpen: Bullpen) -> None:
    """S4.25"""
    skill = bullpen.folder / ".claude" / "skills" / "pdf"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: pdf\ndescription: x\n---\nold\n", "utf-8")
    with_skill, without = bullpen.template("desk", skills=["pdf"]), bullpen.template("clerk")
    for template in (with_skill, without):
        bullpen.prepare(template)
    assert bullpen.store.sources.change(str(skill / "SKILL.md")) == 1
    await bullpen.use(with_skill)
    await bullpen.use(without)
    assert bullpen.compiled == ["desk", "clerk", "desk"]


async def test_a_context_that_nobody_uses_expires_and_is_prepared_once_for_all_who_then_come(bullpen: Bullpen) -> None:
    """S4.14, S4.26, S4.30"""
    template = bullpen.template()
    bullpen.prepare(template)
    bullpen.timer.now += TTL - 1
    await bullpen.use(template)
    bullpen.timer.now += TTL - 1
    assert bullpen.store.sources.clean() == 0, "use keeps it"
    bullpen.timer.now += 2
    assert bullpen.store.sources.clean() == 1
    (cache,) = bullpen.store.statistics()
    assert (cache.expiries, cache.entries, cache.bytes) == (1, 0, 0)
    got: list[AgentContext | None] = []

    async def start_a_client() -> None:
        got.append(await bullpen.use(template))

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(start_a_client)
    assert len({id(context) for context in got}) == 1
    assert bullpen.compiled == ["desk", "desk"]


async def test_the_bundled_cli_is_started_with_the_context_that_is_held(bullpen: Bullpen) -> None:
    """S4.1: its connector is made in a thread, as a live edit does it."""
    make = bundled_cli(bullpen.settings, {}, Tools(), bullpen.store)
    template = bullpen.template(tools="Read")
    connector = await anyio.to_thread.run_sync(make, template)
    assert bullpen.store.describe().contexts == (), "it is not wanted yet"
    bullpen.store.hold("desk", connector.digest)
    assert isinstance(connector, SdkConnector)
    (row,) = bullpen.store.describe().contexts
    assert row.version == connector.digest
    assert connector._use is not None
    context = await connector._use()
    assert context is not None
    assert context.options is connector._options
    assert bullpen.store.describe().contexts[0].uses == 1
