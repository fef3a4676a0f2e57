"""Caches of what is expensive to build: bounded, shared, and never older than the last edit (S4.7-11, S4.23-26)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.tools.cache import Built, Cache, Key, Sources
from supervisor.tools.content import content_hash
from tests.waiting import until

pytestmark = pytest.mark.anyio

KEY = Key("desk", "tools")


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Kitchen:
    """Builds what it is told to, and counts."""

    def __init__(self) -> None:
        self.value = "soup"
        self.builds = 0
        self.gate: anyio.Event | None = None
        self.error: Exception | None = None

    async def build(self) -> str:
        self.builds += 1
        value, error = self.value, self.error
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        if error is not None:
            raise error
        return value


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


async def test_a_value_is_built_once_and_then_found(kitchen: Kitchen) -> None:
    """S4.1"""
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)
    assert [await cache.get(KEY, kitchen.build) for _ in range(3)] == ["soup"] * 3
    told = cache.statistics()
    assert (kitchen.builds, told.hits, told.misses, told.entries, told.hit_rate) == (1, 2, 1, 1, 2 / 3)
    assert told.bytes > 0


async def test_readers_at_once_share_one_build(kitchen: Kitchen) -> None:
    """S4.26: single-flight."""
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)
    kitchen.gate = anyio.Event()
    got: list[str] = []

    async def read() -> None:
        got.append(await cache.get(KEY, kitchen.build))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(read)
        await until(lambda: kitchen.builds)
        kitchen.gate.set()
    assert (got, kitchen.builds) == (["soup"] * 20, 1)
    assert (cache.statistics().misses, cache.statistics().hits) == (1, 19)


async def test_a_build_that_fails_fails_for_all_who_wait_for_it_and_for_nobody_after(kitchen: Kitchen) -> None:
    """S4.26"""
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)
    kitchen.gate, kitchen.error = anyio.Event(), OSError("no gas")
    errors: list[str] = []

    async def read() -> None:
        try:
            await cache.get(KEY, kitchen.build)
        except OSError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
        await until(lambda: kitchen.builds)
        kitchen.gate.set()
    kitchen.error = None
    assert errors == ["no gas"] * 3
    assert await cache.get(KEY, kitchen.build) == "soup"
    assert (cache.statistics().failures, kitchen.builds) == (1, 2)


async def test_where_the_reader_that_builds_is_cancelled_the_next_one_builds(kitchen: Kitchen) -> None:
    """S4.26"""
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)
    kitchen.gate = anyio.Event()
    got: list[str] = []
    scope = anyio.CancelScope()

    async def leave() -> None:
        with scope:
            await cache.get(KEY, kitchen.build)

    async def stay() -> None:
        got.append(await cache.get(KEY, kitchen.build))

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await until(lambda: kitchen.builds == 1)
        group.start_soon(stay)
        group.start_soon(stay)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await until(lambda: kitchen.builds == 2)
        kitchen.gate.set()
    assert (got, kitchen.builds) == (["soup", "soup"], 2)


async def test_an_edit_during_a_build_has_it_built_again(kitchen: Kitchen) -> None:
    """S4.26"""
    sources = Sources()
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60, sources=sources)
    kitchen.gate = anyio.Event()
    got: list[str] = []

    async def read() -> None:
        got.append(await cache.get(KEY, kitchen.build, sources=["recipe"]))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await until(lambda: kitchen.builds)
        group.start_soon(read)
        kitchen.value = "stew"
        sources.change("recipe")
        kitchen.gate.set()
    assert (got, kitchen.builds) == (["stew", "stew"], 2)


async def test_a_source_that_only_the_build_knows_counts_from_its_beginning() -> None:
    sources = Sources()
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60, sources=sources)
    shelf = ["old"]

    async def build() -> Built[str]:
        value = shelf[-1]
        if value == "old":
            shelf.append("new")
            sources.change("shelf")
        return Built(value, {"shelf"})

    assert await cache.get(KEY, build) == "new"


async def test_an_edit_takes_everything_that_was_made_from_it_in_every_cache() -> None:
    """S4.25: also what was made from what was made from it, and nothing else."""
    sources = Sources()
    lists: Cache[str] = Cache("lists", capacity=8, ttl=60, sources=sources)
    contexts: Cache[str] = Cache("contexts", capacity=8, ttl=60, sources=sources)

    async def make_list(name: str) -> str:
        return f"tools of {name}"

    async def make_context(name: str) -> Built[str]:
        found = await lists.get(Key("", name), lambda: make_list(name), sources=[f"server {name}"])
        return Built(f"context with {found}", [lists.source(Key("", name))])

    for name in ("git", "mail"):
        await contexts.get(Key("desk", name), lambda name=name: make_context(name))
    assert sources.change("server git") == 2
    assert [one.name for one in contexts.list_keys()] == ["mail"]
    assert [one.name for one in lists.list_keys()] == ["mail"]
    assert (lists.statistics().stale, contexts.statistics().stale) == (1, 1)


async def test_a_value_that_comes_out_otherwise_after_its_time_takes_along_what_was_made_from_the_earlier_one() -> None:
    """S4.25: a list of tools that a server has changed without a word."""
    timer, sources = Timer(), Sources()
    lists: Cache[tuple[str, ...]] = Cache(
        "lists", capacity=8, ttl=300, sources=sources, identify=content_hash, steady=timer
    )
    contexts: Cache[str] = Cache("contexts", capacity=8, ttl=1800, sources=sources, steady=timer)
    offered: list[tuple[str, ...]] = [("read",)]

    async def make_list() -> tuple[str, ...]:
        return offered[-1]

    async def make_context() -> Built[str]:
        return Built(" ".join(await lists.get(KEY, make_list)), [lists.source(KEY)])

    assert await contexts.get(KEY, make_context) == "read"
    timer.now = 301
    await lists.get(KEY, make_list)
    assert contexts.peek(KEY) == "read", "the same list as before"
    offered.append(())
    timer.now = 602
    assert await lists.get(KEY, make_list) == ()
    assert contexts.peek(KEY) is None
    assert await contexts.get(KEY, make_context) == ""


async def test_another_version_is_built_anew_and_takes_along_what_was_made_from_the_earlier_one(
    kitchen: Kitchen,
) -> None:
    """S4.23"""
    sources = Sources()
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60, sources=sources)
    menus: Cache[str] = Cache("menus", capacity=2, ttl=60, sources=sources)
    await cache.get(KEY, kitchen.build, version="1")
    await menus.get(KEY, kitchen.build, sources=[cache.source(KEY)])
    kitchen.value = "stew"
    assert await cache.get(KEY, kitchen.build, version="2") == "stew"
    assert menus.peek(KEY) is None
    assert cache.statistics().stale == 1


async def test_equal_names_of_two_tenants_are_two_values(kitchen: Kitchen) -> None:
    """S4.24"""
    cache: Cache[str] = Cache("soups", capacity=8, ttl=60)
    await cache.get(Key("ana", "tools"), kitchen.build)
    kitchen.value = "stew"
    assert await cache.get(Key("boris", "tools"), kitchen.build) == "stew"
    assert cache.drop_tenant("ana") == 1
    assert [one.tenant for one in cache.list_keys()] == ["boris"]


async def test_an_empty_value_is_a_value() -> None:
    """S4.24"""
    cache: Cache[tuple[str, ...] | None] = Cache("tools", capacity=8, ttl=60)
    builds: list[str] = []

    async def build_empty() -> tuple[str, ...]:
        builds.append("empty")
        return ()

    async def build_none() -> None:
        builds.append("none")

    assert [await cache.get(Key("", "empty"), build_empty) for _ in range(2)] == [(), ()]
    assert [await cache.get(Key("", "none"), build_none) for _ in range(2)] == [None, None]
    assert builds == ["empty", "none"]


async def test_room_and_time_are_bounded_and_counted_apart(kitchen: Kitchen) -> None:
    """S4.7-11, S4.30"""
    timer = Timer()
    cache: Cache[str] = Cache("soups", capacity=2, ttl=10, steady=timer, measure=len)
    for name in ("a", "b", "a", "c"):
        await cache.get(Key("", name), kitchen.build)
    assert {one.name for one in cache.list_keys()} == {"a", "c"}, "the least recently used goes first"
    assert (cache.statistics().evictions, cache.statistics().bytes) == (1, 8)
    timer.now = 10
    assert cache.clean() == 2
    told = cache.statistics()
    assert (told.entries, told.evictions, told.expiries, told.bytes) == (0, 1, 2, 0)


async def test_time_counts_from_the_last_use_where_it_is_said(kitchen: Kitchen) -> None:
    """S4.14"""
    timer = Timer()
    cache: Cache[str] = Cache("soups", capacity=2, ttl=10, steady=timer, is_kept_by_use=True)
    for timer.now in (0, 8, 16, 24):
        await cache.get(KEY, kitchen.build)
    assert kitchen.builds == 1
    timer.now = 34
    await cache.get(KEY, kitchen.build)
    assert kitchen.builds == 2


async def test_a_value_that_is_made_from_itself_is_refused_instead_of_waited_for() -> None:
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)

    async def build() -> str:
        return await cache.get(KEY, build)

    with pytest.raises(RuntimeError, match="is built from itself"):
        await cache.get(KEY, build)


async def test_what_is_put_is_there_and_has_what_is_being_built_built_again(kitchen: Kitchen) -> None:
    cache: Cache[str] = Cache("soups", capacity=2, ttl=60)
    cache.put(KEY, "tea", version="1", sources=["kettle"], seconds=2.0)
    assert await cache.get(KEY, kitchen.build, version="1") == "tea"
    assert cache.statistics().build_seconds == 2.0
    kitchen.gate = anyio.Event()
    got: list[str] = []

    async def read() -> None:
        got.append(await cache.get(KEY, kitchen.build, version="2"))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await until(lambda: kitchen.builds)
        cache.put(KEY, "coffee", version="2")
        kitchen.gate.set()
    assert (got, kitchen.builds) == (["soup"], 2)


# Any order of readers, edits, failures, cancels and time


@dataclass
class Reader:
    scope: anyio.CancelScope
    asked_at: int
    """The version of the source when it asked."""


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "edit", "finish", "finish", "fail", "cancel", "wait"]), st.integers(0, 3)
    ),
    max_size=40,
)


class World:
    """Two caches: lists made from a source, and contexts made from a list and a source of their own."""

    def __init__(self) -> None:
        self.timer, self.sources = Timer(), Sources()
        options = {"capacity": 3, "sources": self.sources, "steady": self.timer}
        self.lists: Cache[dict[str, int]] = Cache("lists", ttl=5, identify=content_hash, **options)  # type: ignore[arg-type]
        self.contexts: Cache[dict[str, int]] = Cache("contexts", ttl=20, **options)  # type: ignore[arg-type]
        self.versions = [0] * 4
        self.gates: list[tuple[anyio.Event, list[bool]]] = []
        self.readers: list[anyio.CancelScope] = []
        self.builds_of: dict[object, int] = {}
        self.wrong: list[str] = []
        self.unfinished = 0

    def edit(self, number: int) -> None:
        self.versions[number] += 1
        self.sources.change(f"source {number}")

    async def pass_gate(self) -> None:
        gate, fails = anyio.Event(), [False]
        self.gates.append((gate, fails))
        await gate.wait()
        if fails[0]:
            raise OSError("it does not build")

    def building(
        self, what: object, build: Callable[[], Awaitable[dict[str, int]]]
    ) -> Callable[[], Awaitable[dict[str, int]]]:
        async def once() -> dict[str, int]:
            self.builds_of[what] = self.builds_of.get(what, 0) + 1
            try:
                if self.builds_of[what] > 1:
                    self.wrong.append(f"{what} is built twice at once")
                return await build()
            finally:
                self.builds_of[what] -= 1

        return once

    async def read(self, number: int, scope: anyio.CancelScope) -> None:
        """Context 0 is made from source 0 and list 1, context 1 from source 1 and list 2, and so on."""
        other = (number + 1) % 4

        async def make_list() -> dict[str, int]:
            version = self.versions[other]
            await self.pass_gate()
            return {"list": version}

        async def make_context() -> dict[str, int]:
            version = self.versions[number]
            found = await self.lists.get(
                Key("", other), self.building(("list", other), make_list), sources=[f"source {other}"]
            )
            await self.pass_gate()
            return {"own": version, **found}

        self.unfinished += 1
        try:
            with scope:
                got = await self.contexts.get(
                    Key("", number),
                    self.building(("context", number), make_context),
                    sources=[f"source {number}", self.lists.source(Key("", other))],
                )
                expected = {"own": self.versions[number], "list": self.versions[other]}
                if got != expected:
                    self.wrong.append(f"context {number} is {got}, by now it is {expected}")
        except OSError:
            pass
        finally:
            self.unfinished -= 1


async def let_everybody_run() -> None:
    for _ in range(12):
        await anyio.lowlevel.checkpoint()


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
async def test_in_any_order_no_reader_gets_what_is_older_than_the_last_edit_and_none_waits_for_ever(
    steps: list[Step],
) -> None:
    """S4.23-26: the value is current in the moment in which it is given out, whatever happened meanwhile."""
    world = World()
    async with anyio.create_task_group() as group:
        for what, number in steps:
            match what:
                case "read":
                    world.readers.append(anyio.CancelScope())
                    group.start_soon(world.read, number, world.readers[-1])
                case "edit":
                    world.edit(number)
                case "finish" | "fail" if world.gates:
                    gate, fails = world.gates.pop(number % len(world.gates))
                    fails[0] = what == "fail"
                    gate.set()
                case "cancel" if world.readers:
                    world.readers.pop(number % len(world.readers)).cancel()
                case "wait":
                    world.timer.now += 3 * number
                case _:
                    pass
            await let_everybody_run()
        for _ in range(200):
            if not world.unfinished:
                break
            for gate, _ in world.gates:
                gate.set()
            world.gates.clear()
            await let_everybody_run()
        assert not world.unfinished, "readers wait for ever"
    assert world.wrong == []
    for cache in (world.lists, world.contexts):
        told = cache.statistics()
        assert told.entries <= told.capacity
        assert not cache._flights
        assert told.bytes == 0 or told.entries
        assert len(cache._links) <= 4 * told.capacity
        assert {key for keys in cache._made_from.values() for key in keys} <= {*cache._links}
    assert not world.sources._changed
