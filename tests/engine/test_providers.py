"""Providers and models: chosen by template and prompt, two at once in one instance, and what stands in for one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from supervisor.api.budgets import Scope
from supervisor.api.codec import pack
from supervisor.api.errors import InvalidPrompt, OverBudget
from supervisor.api.events import ProviderParked, TurnStarted
from supervisor.api.keys import SessionKey
from supervisor.api.outcomes import Done, Failed, FailureKind
from supervisor.api.prompts import Prompt
from supervisor.api.states import InstanceState, WhyWaiting
from supervisor.engine.supervisor import Supervisor
from supervisor.scheduling.circuit_state import PAUSES
from supervisor.testing import FakeConnection, FakeWorld, hold
from tests.engine.conftest import MakeTemplate, Start
from tests.engine.test_restart import crashing
from tests.engine.turned_clock import TurnedClock
from tests.waiting import until

pytestmark = pytest.mark.anyio

HELLO = Prompt("desk", "hello", user="ana")
KEY = SessionKey("desk", "ana", "default")
SECOND = {
    "second": {"base_url": "https://gateway.example", "auth_token": "env:SECOND_KEY", "models": ["opus", "haiku"]}
}
SECRET = "sk-the-secret-of-second"


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_KEY", SECRET)


async def ask(supervisor: Supervisor, prompt: Prompt = HELLO) -> str:
    """The provider that it ran with."""
    ticket = await supervisor.submit(prompt)
    assert isinstance(await ticket.outcome(), Done)
    return (await supervisor.turn(ticket.turn_id)).served


def chosen(world: FakeWorld) -> list[tuple[str, str]]:
    """What each client was started for, oldest first."""
    return [(one.provider, one.model) for one in world.connections]


async def test_a_prompt_chooses_and_the_next_one_without_a_choice_has_the_instances_own(
    start: Start, world: FakeWorld
) -> None:
    """S5.12: omitted means the instance default, not the one used last; the history is kept."""
    async with start(providers=SECOND) as supervisor:
        assert await ask(supervisor) == "default"
        assert await ask(supervisor, replace(HELLO, text="two", provider="second", model="opus")) == "second"
        assert await ask(supervisor, replace(HELLO, text="three", provider="second", model="opus")) == "second"
        assert await ask(supervisor, replace(HELLO, text="four")) == "default"
        assert chosen(world) == [("default", ""), ("second", "opus"), ("default", "")]
        uuid = supervisor.view.session_row(KEY).session_uuid  # type: ignore[union-attr]
        assert world.transcripts[uuid] == ["hello", "two", "three", "four"]
        assert not world.violations


async def test_two_sessions_of_one_instance_have_two_providers_at_once(start: Start, world: FakeWorld) -> None:
    """S5.12"""
    world.on_prompt = hold
    async with start(providers=SECOND) as supervisor:
        first = await supervisor.submit(HELLO)
        second = await supervisor.submit(replace(HELLO, user="ben", provider="second"))
        await until(lambda: sum(bool(one.prompts) for one in world.connections) == 2)
        assert sorted(chosen(world)) == [("default", ""), ("second", "")]
        rows = {row.name: row.clients for row in await supervisor.providers()}
        assert rows == {"default": 1, "second": 1}
        for one in world.connections:
            one.reply("ok")
        assert isinstance(await first.outcome(), Done)
        assert isinstance(await second.outcome(), Done)
        snapshot = await supervisor.snapshot()
        assert {(row.key.user, row.provider) for row in snapshot.sessions} == {("ana", "default"), ("ben", "second")}
        assert {(row.provider) for row in snapshot.clients} == {"default", "second"}


async def test_a_spare_serves_only_sessions_with_its_own_choice(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    template = make_template(concurrency={"maxSessions": 2}, pool={"spares": 1, "maxClients": 3})
    async with start(template, providers=SECOND) as supervisor:
        await until(lambda: any(row.state.value == "ready" for row in supervisor.view.snapshot().clients))
        assert await ask(supervisor, replace(HELLO, provider="second")) == "second"
        assert await ask(supervisor, replace(HELLO, user="ben")) == "default"
        started = {row.key: row.id for row in supervisor.view.snapshot().clients if row.key is not None}
        assert started[SessionKey("desk", "ben", "default")] == "desk-1", "it took the spare"


async def test_a_template_has_a_provider_of_its_own_and_a_prompt_may_still_choose_the_hosts(
    start: Start, world: FakeWorld, make_template: MakeTemplate
) -> None:
    template = make_template(provider="second", model="haiku", pool={"spares": 0})
    async with start(template, providers=SECOND) as supervisor:
        assert await ask(supervisor) == "second"
        assert await ask(supervisor, replace(HELLO, provider="default")) == "default"
        assert chosen(world) == [("second", "haiku"), ("default", "haiku")]


@pytest.mark.parametrize(
    ("provider", "model", "told"),
    [
        ("third", "", "no provider third; there are: broken, default, second"),
        ("second", "sonnet", "provider second has no model sonnet; there are: opus, haiku"),
        (
            "broken",
            "",
            "provider broken cannot be used: auth_token names the variable NO_SUCH_VARIABLE, which is not set",
        ),
        ("", "--dangerously-skip-permissions", "no model is called"),
        ("", "a b", "no model is called"),
        ("../default", "", "no provider"),
    ],
)
async def test_unknown_names_are_refused_with_the_valid_ones(
    start: Start, provider: str, model: str, told: str
) -> None:
    """S5.12"""
    broken = {"base_url": "https://gateway.example", "auth_token": "env:NO_SUCH_VARIABLE"}
    async with start(providers=SECOND | {"broken": broken}) as supervisor:
        with pytest.raises(InvalidPrompt, match=told):
            await supervisor.submit(replace(HELLO, provider=provider, model=model))
        assert not (await supervisor.snapshot()).sessions


async def test_a_choice_outlives_a_restart(start: Start, world: FakeWorld) -> None:
    world.on_prompt = hold
    async with crashing(start(providers=SECOND), world) as supervisor:
        await supervisor.submit(HELLO)
        waits = await supervisor.submit(replace(HELLO, text="two", provider="second", model="opus"))
        await waits.accepted()
    world.on_prompt = lambda connection, text: connection.reply("ok")
    async with start(providers=SECOND) as supervisor:
        ticket = await supervisor.ticket(waits.turn_id)
        assert isinstance(await ticket.outcome(), Done)
        turn = await supervisor.turn(waits.turn_id)
        assert (turn.served, turn.prompt.provider, turn.prompt.model) == ("second", "second", "opus")
        assert chosen(world)[-1] == ("second", "opus")
    async with start(providers=SECOND) as supervisor:
        assert (await supervisor.turn(waits.turn_id)).served == "second"


def refuse(status: int, *providers: str) -> object:
    """Those providers fail every turn with that status."""

    def answer(connection: FakeConnection, text: str) -> None:
        if connection.provider in providers:
            connection.fail(status)
        else:
            connection.reply("ok")

    return answer


@pytest.mark.parametrize(("status", "kind"), [(429, FailureKind.RATE_LIMIT), (401, FailureKind.AUTHENTICATION)])
async def test_a_provider_that_was_asked_for_parks_alone(
    start: Start, world: FakeWorld, status: int, kind: FailureKind
) -> None:
    """Sessions of another provider go on."""
    world.on_prompt = refuse(status, "second")  # type: ignore[assignment]
    async with start(providers=SECOND) as supervisor:
        with await supervisor.watch() as feed:
            outcome = await (await supervisor.submit(replace(HELLO, provider="second"))).outcome()
            assert isinstance(outcome, Failed)
            assert outcome.kind is kind
            told = [one for one in feed.take().events if isinstance(one, ProviderParked)]
            assert [(one.provider, one.kind) for one in told] == [("second", kind)]
        waits = await supervisor.submit(replace(HELLO, user="ben", provider="second"))
        assert await ask(supervisor, replace(HELLO, user="zoe")) == "default"
        assert (await supervisor.snapshot()).instances[0].state is InstanceState.RUNNING
        why = (await supervisor.turn(waits.turn_id)).why
        assert why is (WhyWaiting.RATE_LIMIT if status == 429 else WhyWaiting.PARKED)
        row = next(one for one in await supervisor.providers() if one.name == "second")
        assert row.parked_for is kind
        assert row.parked_until
        world.on_prompt = refuse(429)  # type: ignore[assignment]
        await supervisor.pause("desk")
        await supervisor.resume("desk")
        assert isinstance(await waits.outcome(), Done)


async def test_a_fallback_provider_takes_the_turns_of_a_parked_one_and_says_so(start: Start, world: FakeWorld) -> None:
    """S5.12: as declared, told to the caller, and shown."""
    world.on_prompt = refuse(429, "default")  # type: ignore[assignment]
    async with start(providers=SECOND | {"default": {"fallback": "second"}}) as supervisor:
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.PARKED)
        with await supervisor.watch() as feed:
            assert await ask(supervisor, replace(HELLO, text="two")) == "second"
            assert await ask(supervisor, replace(HELLO, user="ben")) == "second"
            started = [one for one in feed.take().events if isinstance(one, TurnStarted)]
            assert [one.provider for one in started] == ["second", "second"]
        reader = await supervisor.conversation(KEY)
        words = pack(reader.read().entries)
        assert "Provider default takes no turns now (its limit is reached): this one runs with second" in words
        assert supervisor.view.snapshot().instances[0].state is InstanceState.PARKED, "its own turns still wait"
        world.on_prompt = refuse(429)  # type: ignore[assignment]
        await supervisor.resume("desk")
        assert await ask(supervisor, replace(HELLO, text="three")) == "default", "back as soon as it may"


async def test_a_provider_that_stands_in_for_another_keeps_its_own_ceiling(start: Start, world: FakeWorld) -> None:
    """S5.12: what it may cost in a day was set for it, whoever's turns it takes."""
    world.on_prompt = refuse(429, "default")  # type: ignore[assignment]
    limits = {"provider": {"turns_per_day": 2}}
    async with start(providers=SECOND | {"default": {"fallback": "second"}}, budgets=limits) as supervisor:
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.PARKED)
        for _ in range(2):
            assert await ask(supervisor) == "second"
        with pytest.raises(OverBudget, match="the provider second reached the turns for today"):
            await supervisor.submit(HELLO)


async def test_a_fallback_model_is_used_while_the_limit_of_the_main_one_is_reached(
    start: Start, world: FakeWorld
) -> None:
    def answer(connection: FakeConnection, text: str) -> None:
        connection.reply("ok") if connection.model == "haiku" else connection.fail(429)

    world.on_prompt = answer
    async with start(providers={"default": {"fallback_model": "haiku"}}) as supervisor:
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Done)
        assert chosen(world) == [("default", ""), ("default", "haiku")]
        world.on_prompt = lambda connection, text: connection.fail(429)
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        waits = await supervisor.submit(HELLO)
        await until(lambda: supervisor.view.session_row(KEY).why is WhyWaiting.RATE_LIMIT)  # type: ignore[union-attr]
        await supervisor.withdraw(waits.turn_id)


async def test_a_fallback_model_whose_limit_was_reached_is_tried_again_with_its_provider(
    start: Start, world: FakeWorld
) -> None:
    turned = TurnedClock()
    async with start(clock=turned.clock, providers={"default": {"fallback_model": "haiku"}}) as supervisor:
        world.on_prompt = lambda connection, text: connection.fail(429)
        for _ in range(2):
            assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        turned.seconds = PAUSES[FailureKind.RATE_LIMIT][0]
        await until(lambda: supervisor.view.snapshot().instances[0].state is InstanceState.RUNNING)
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        world.on_prompt = lambda connection, text: connection.reply("ok")
        again = await supervisor.submit(HELLO)
        await until(lambda: again.finished)
        assert chosen(world) == [("default", ""), ("default", "haiku")] * 2


async def test_without_a_fallback_turns_wait_until_the_provider_takes_them_again(
    start: Start, world: FakeWorld
) -> None:
    world.on_prompt = refuse(429, "default")  # type: ignore[assignment]
    async with start(providers=SECOND) as supervisor:
        assert isinstance(await (await supervisor.submit(HELLO)).outcome(), Failed)
        waits = await supervisor.submit(HELLO)
        assert await ask(supervisor, replace(HELLO, user="ben", provider="second")) == "second"
        assert (await supervisor.turn(waits.turn_id)).why is WhyWaiting.RATE_LIMIT


async def test_what_was_spent_is_counted_for_the_provider_that_served(start: Start) -> None:
    async with start(providers=SECOND, budgets={"provider": {"turns_per_day": 9}}) as supervisor:
        await ask(supervisor)
        await ask(supervisor, replace(HELLO, user="ben", provider="second"))
        await ask(supervisor, replace(HELLO, user="ben", provider="second"))
        spent = {one.name: one.spent for one in await supervisor.budgets() if one.scope is Scope.PROVIDER}
        assert spent == {"default": 1, "second": 2}
    async with start(providers=SECOND, budgets={"provider": {"turns_per_day": 9}}) as supervisor:
        spent = {one.name: one.spent for one in await supervisor.budgets() if one.scope is Scope.PROVIDER}
        assert spent == {"default": 1, "second": 2}


async def test_no_secret_stands_in_anything_that_is_told_or_kept(
    start: Start, tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        async with start(providers=SECOND) as supervisor:
            await ask(supervisor, replace(HELLO, provider="second"))
            told = [
                pack(await supervisor.snapshot()),
                pack(await supervisor.providers()),
                pack(await supervisor.limits()),
                repr(supervisor),
                repr(supervisor.settings),
                repr([*supervisor._host.providers]),  # type: ignore[attr-defined]
                caplog.text,
            ]
    state = supervisor.settings.state_dir
    told += [path.read_bytes().decode(errors="replace") for path in state.rglob("*") if path.is_file()]
    assert not [text for text in told if SECRET in text]
