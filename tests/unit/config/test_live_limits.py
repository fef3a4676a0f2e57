"""Limits changed live: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.api.errors import ConfigurationError, Refused
from supervisor.config.byte_sizes import parse_memory, spell_memory
from supervisor.config.durations import parse_limit, spell_duration
from supervisor.config.live_limits import (
    BUDGET_LIMITS,
    DEFAULT,
    HOST_LIMITS,
    INSTANCE_LIMITS,
    adjust_settings,
    adjust_template,
    describe_host_limits,
    describe_limits,
)
from supervisor.config.loading import apply_overrides
from supervisor.config.settings import Settings, load_settings
from supervisor.config.template import Template
from supervisor.config.templates import load_template

PLAIN = Template.model_validate({"name": "helpdesk", "description": "Helps."})
BUSY = Template.model_validate(
    {
        "name": "helpdesk",
        "description": "Helps.",
        "concurrency": {"maxSessions": 4},
        "pool": {"minClients": 1, "spares": 2, "softMemory": "800MiB"},
        "queue": {"maxWait": "none"},
        "turnTimeout": "10m",
        "mcpServers": {"tracker": {"type": "stdio"}},
        "workspace": "shared",
    }
)
HOST = Settings(max_agents=7, memory_budget=2**33, max_wait=45)

Limited = TypeVar("Limited", Template, Settings)

MANY = settings(deadline=None, max_examples=60)

VALUES = (
    "0",
    "1",
    "3",
    "30s",
    "1.5h",
    "none",
    "NONE",
    "8GiB",
    "70MiB",
    "1MiB",
    "soon",
    "-1",
    "2m",
    "true",
    "9" * 400,
)

numbers = st.integers(1, 10**6).map(str)
times = st.floats(0.1, 10**8).map(spell_duration) | st.sampled_from(["30", "5m", "7d", "none"])
amounts = st.integers(2**26, 2**50).map(spell_memory) | st.sampled_from(["1GiB", "500MB", "50%", "none"])
values = numbers | times | amounts | st.text(max_size=80) | st.just(DEFAULT)


def attempt(adjust: Callable[[Limited, str, str], Limited], base: Limited, limit: str, value: str) -> Limited | str:
    """What came of it, or the words of the refusal."""
    try:
        return adjust(base, limit, value)
    except Refused as refused:
        return str(refused)


def test_what_can_be_changed_live_is_every_limit_there_is() -> None:
    """S2.27."""
    assert {"concurrency.maxSessions", "pool.idleTtl", "pool.panicMemory", "queue.maxWait"} <= set(INSTANCE_LIMITS)
    assert {"questionTtl", "stallTimeout", "turnTimeout", "sessionTtl"} <= set(INSTANCE_LIMITS)
    assert set(HOST_LIMITS) == {
        *("memory_budget", "max_agents", "agent_ttl", "cleanup_interval", "connect_limit", "connect_timeout"),
        *("control_timeout", "kill_grace", "drain_deadline", "health_interval", "stall_after", "memory_interval"),
        *("max_wait", "wake_timeout", "dormant_budget"),
        *BUDGET_LIMITS,
    }
    assert tuple(describe_limits(PLAIN)) == INSTANCE_LIMITS
    assert tuple(describe_host_limits(HOST)) == HOST_LIMITS


@pytest.mark.parametrize("name", ["pool.idleTtl", "pool.idle_ttl", "idleTtl", "idle_ttl", "IDLE_TTL", " idle-ttl "])
def test_a_limit_answers_to_every_reasonable_spelling(name: str) -> None:
    assert adjust_template(BUSY, name, "20m").pool.idle_ttl == 1200


def test_a_change_of_one_limit_leaves_everything_else_as_it_was() -> None:
    before = BUSY.model_copy(deep=True)

    changed = adjust_template(adjust_template(BUSY, "maxClients", "9"), "sessionTtl", "1d")

    assert before == BUSY
    assert (changed.pool.max_clients, changed.session_ttl) == (9, 86400)
    pool = changed.pool.model_copy(update={"max_clients": None})
    assert changed.model_copy(update={"pool": pool, "session_ttl": BUSY.session_ttl}) == BUSY


@MANY
@given(limit=st.sampled_from(INSTANCE_LIMITS), value=values)
def test_an_instances_limit_is_changed_alone_or_refused_in_one_line(limit: str, value: str) -> None:
    field = limit.partition(".")[0]
    changed = attempt(adjust_template, BUSY, limit, value)

    if isinstance(changed, str):
        assert limit in changed
        assert len(changed.splitlines()) == 1
    else:
        assert changed.model_copy(update={_field(field): getattr(BUSY, _field(field))}) == BUSY
        told, before = describe_limits(changed), describe_limits(BUSY)
        follows = {"pool.maxClients"} if limit == "concurrency.maxSessions" else set()
        assert {one for one in told if told[one] != before[one]} <= {limit} | follows


@MANY
@given(limit=st.sampled_from(HOST_LIMITS), value=values)
def test_a_limit_of_the_host_is_changed_alone_or_refused_in_one_line(limit: str, value: str) -> None:
    changed = attempt(adjust_settings, HOST, limit, value)

    if isinstance(changed, str):
        assert changed.startswith(f"{limit} must be ")
        assert len(changed.splitlines()) == 1
    else:
        told, before = describe_host_limits(changed), describe_host_limits(HOST)
        assert {one for one in told if told[one] != before[one]} <= {limit}
        name = limit.partition(".")[0]
        assert changed.model_copy(update={name: getattr(HOST, name)}) == HOST


@MANY
@given(limit=st.sampled_from(INSTANCE_LIMITS), value=values)
def test_every_limit_of_an_instance_reads_its_own_description(limit: str, value: str) -> None:
    attempted = attempt(adjust_template, PLAIN, limit, value)
    changed = BUSY if isinstance(attempted, str) else attempted

    for one, told in describe_limits(changed).items():
        assert describe_limits(adjust_template(changed, one, told)) == describe_limits(changed)


@MANY
@given(limit=st.sampled_from(HOST_LIMITS), value=values)
def test_every_limit_of_the_host_reads_its_own_description(limit: str, value: str) -> None:
    attempted = attempt(adjust_settings, Settings(), limit, value)
    changed = HOST if isinstance(attempted, str) else attempted

    for one, told in describe_host_limits(changed).items():
        if one not in BUDGET_LIMITS:
            assert getattr(adjust_settings(changed, one, told), one) == getattr(changed, one)
        assert describe_host_limits(adjust_settings(changed, one, told)) == describe_host_limits(changed)


@MANY
@given(seconds=st.floats(0, allow_infinity=False), amount=st.integers(2**26, 2**53))
def test_lengths_of_time_and_amounts_of_memory_are_read_as_they_are_written(seconds: float, amount: int) -> None:
    assert parse_limit(spell_duration(seconds)) == seconds
    assert parse_memory(spell_memory(amount)) == amount


def test_values_are_told_as_people_write_them() -> None:
    assert [spell_duration(one) for one in (0, 0.25, 1.5, 90, 900, 7200, 604800)] == [
        *("0s", "250ms", "1500ms", "90s", "15m", "2h", "7d")
    ]
    assert [spell_memory(one) for one in (800 * 2**20, 2**31, 500_000_000, 2**26 + 1)] == [
        *("800MiB", "2GiB", "500MB", "67108865")
    ]
    told = describe_limits(BUSY)
    assert (told["pool.maxClients"], told["pool.spares"], told["queue.maxWait"]) == ("4", "2", "none")
    assert (told["turnTimeout"], told["pool.softMemory"], told["pool.memoryBudget"]) == ("10m", "800MiB", "none")
    assert describe_host_limits(HOST)["memory_budget"] == "8GiB"


@pytest.mark.parametrize("limit", INSTANCE_LIMITS)
def test_a_template_is_changed_live_as_its_file_would_change_it(limit: str, tmp_path: Path) -> None:
    """The same values, and the same words for what is wrong with the others."""
    section, _, key = limit.rpartition(".")
    path = tmp_path / "helpdesk.md"
    for value in VALUES:
        line = f"{key}: {json.dumps(value)}"
        body = f"{section}: {{{line}}}" if section else line
        path.write_text(f"---\nname: helpdesk\ndescription: Helps.\n{body}\n---\n", "utf-8")
        try:
            expected: object = load_template(path).model_copy(update={"path": PLAIN.path})
        except ConfigurationError as error:
            expected = str(error).split(": ", 1)[1]
        assert attempt(adjust_template, PLAIN, limit, value) == expected, value


@pytest.mark.parametrize("limit", [limit for limit in HOST_LIMITS if limit not in BUDGET_LIMITS])
def test_settings_are_changed_live_as_the_environment_would_change_them(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    variable = f"BULLPEN_{limit.upper()}"
    base = load_settings(environ={"BULLPEN_MAX_AGENTS": "7"})
    for value in VALUES:
        try:
            expected: object = load_settings(environ={"BULLPEN_MAX_AGENTS": "7", variable: value})
        except ConfigurationError as error:
            expected = str(error).removeprefix(f"{variable}: ")
        assert attempt(adjust_settings, base, limit, value) == expected, value


def test_limits_that_hang_together_are_changed_in_an_order_that_holds() -> None:
    with pytest.raises(Refused) as raised:
        adjust_template(BUSY, "maxSessions", "1")
    assert str(raised.value) == (
        "concurrency.maxSessions cannot be 1: pool.spares is 2, more than the pool may hold (1; see pool.maxClients); "
        "change pool.spares first"
    )
    with pytest.raises(Refused, match=r"^pool.softMemory is 3GiB, more than pool.hardMemory \(2GiB\)$"):
        adjust_template(BUSY, "softMemory", "3GiB")
    with pytest.raises(Refused, match=r"^concurrency.maxSessions must be 1 for archetype employee"):
        adjust_template(Template.model_validate({**_who(), "archetype": "employee"}), "maxSessions", "2")

    assert adjust_template(adjust_template(BUSY, "spares", "1"), "maxSessions", "1").client_limit == 1
    assert (
        adjust_template(adjust_template(BUSY, "hardMemory", "none"), "softMemory", "3GiB").pool.soft_memory == 3 << 30
    )


def test_default_brings_back_what_holds_when_nobody_says_anything() -> None:
    employee = Template.model_validate({**_who(), "archetype": "employee", "turnTimeout": "1h"})

    assert adjust_template(employee, "turnTimeout", "default").turn_timeout == 600
    assert adjust_template(BUSY, "maxWait", "default").max_wait == 30
    pinned = adjust_template(BUSY, "maxClients", "4")
    assert adjust_template(pinned, "maxSessions", "6").client_limit == 4
    assert adjust_template(adjust_template(pinned, "maxClients", "default"), "maxSessions", "6").client_limit == 6
    assert adjust_settings(HOST, "max_agents", "Default").max_agents == 100


def test_the_hosts_max_wait_can_be_taken_back_live() -> None:
    """Not set is not the same as `none`."""
    template = Template.model_validate({**_who(), "queue": {"maxWait": "7s"}})
    unlimited = adjust_settings(HOST, "max_wait", "none")
    unsaid = adjust_settings(HOST, "max_wait", "default")

    assert [describe_host_limits(one)["max_wait"] for one in (HOST, unlimited, unsaid)] == ["45s", "none", "default"]
    assert [apply_overrides(template, one).max_wait for one in (HOST, unlimited, unsaid)] == [45, None, 7]


def test_a_pool_size_from_an_older_variable_survives_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    changed = adjust_settings(load_settings(environ={"HELPDESK_CLIENT_POOL_SIZE": "5"}), "agent_ttl", "2h")

    assert apply_overrides(PLAIN, changed).concurrency.max_sessions == 5


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("idelTtl", "idelTtl is not a limit; did you mean pool.idleTtl?"),
        ("queue.idleTtl", "queue.idleTtl is not a limit; did you mean pool.idleTtl?"),
        ("max_session", "max_session is not a limit; did you mean concurrency.maxSessions?"),
        ("pool", "pool is not one limit; change one of pool.minClients, pool.maxClients, "),
        ("model", "model cannot be changed live; change it in the template and start bullpen again"),
        ("onRestart", "onRestart cannot be changed live; change it in the template and start bullpen again"),
        ("agent_ttl", "agent_ttl is a setting of the host, not of an instance; change it there"),
        ("zzz", "zzz is not a limit; the limits are concurrency.maxSessions, pool.minClients, "),
        ("a\nb", "'a\\nb' is not a limit; "),
        ("", " is not a limit; "),
    ],
)
def test_a_name_that_is_no_limit_of_an_instance_is_refused_with_the_way_out(name: str, sentence: str) -> None:
    with pytest.raises(Refused) as raised:
        adjust_template(PLAIN, name, "3")

    assert str(raised.value).startswith(sentence)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("max_agent", "max_agent is not a limit; did you mean max_agents?"),
        ("questionTtl", "questionTtl is a limit of an instance, not of the host; change it there"),
        ("instances", "instances is not one limit; change a limit of the instance itself"),
        (
            "maxRetries",
            "max_retries cannot be changed live, because a client is told when it starts; set it in bullpen.toml, or "
            "as BULLPEN_MAX_RETRIES, and start bullpen again",
        ),
        ("stream_idle_timeout", "stream_idle_timeout cannot be changed live, because a client is told when it starts;"),
        ("state_dir", "state_dir cannot be changed live, because sessions and workspaces are already there; set it in"),
        (
            "templates_dir",
            "templates_dir cannot be changed live, because the folder named at the start is watched; set it",
        ),
        ("rehearsal", "rehearsal cannot be changed live, because clients that run talk to one endpoint; set it in"),
    ],
)
def test_a_name_that_is_no_limit_of_the_host_is_refused_with_the_way_out(name: str, sentence: str) -> None:
    with pytest.raises(Refused) as raised:
        adjust_settings(HOST, name, "3")

    assert str(raised.value).startswith(sentence)


def _who() -> dict[str, object]:
    return {"name": "helpdesk", "description": "Helps."}


def _field(key: str) -> str:
    return {one.alias or name: name for name, one in Template.model_fields.items()}[key]


def test_configured_brings_back_what_the_files_say_after_any_number_of_changes() -> None:
    """S2.27: of what the template leaves open, that it is open again."""
    changed = adjust_template(adjust_template(BUSY, "turnTimeout", "1m"), "turnTimeout", "default")
    assert changed.turn_timeout != BUSY.turn_timeout

    assert adjust_template(changed, "turnTimeout", "Configured", BUSY).turn_timeout == 600
    assert adjust_template(adjust_template(BUSY, "softMemory", "1GiB"), "softMemory", "configured", BUSY) == BUSY
    opened = adjust_template(adjust_template(PLAIN, "maxClients", "9"), "maxClients", "configured", PLAIN)
    assert (opened, opened.pool.model_fields_set) == (PLAIN, PLAIN.pool.model_fields_set)

    for limit, value in {"max_agents": "3", "max_wait": "default", "agent_ttl": "9s", "memory_budget": "1GiB"}.items():
        restored = adjust_settings(adjust_settings(HOST, limit, value), limit, "configured", HOST)
        assert (restored, restored.model_fields_set) == (HOST, HOST.model_fields_set), limit
    capped = adjust_settings(HOST, "budgets.user.cost_per_day", "5")
    lower = adjust_settings(capped, "budgets.user.cost_per_day", "1")
    assert adjust_settings(lower, "budgets.user.cost_per_day", "configured", capped).budgets == capped.budgets
    assert adjust_settings(lower, "budgets.user.cost_per_day", "configured", HOST).budgets.user.cost_per_day is None


@pytest.mark.parametrize(
    ("begun", "told"),
    [
        ("dorm", "dorm is not a limit; did you mean pool.dormantAfter?"),
        ("pool.dorm", "pool.dorm is not a limit; did you mean pool.dormantAfter?"),
        ("maxWaiting_", "maxWaiting_ is not a limit; did you mean queue.maxWaiting?"),
        (
            "maxW",
            "maxW is not a limit; did you mean one of queue.maxWait, queue.maxWaiting, queue.maxWaitingPerSession?",
        ),
    ],
)
def test_the_beginning_of_a_name_suggests_those_that_begin_so(begun: str, told: str) -> None:
    with pytest.raises(Refused) as raised:
        adjust_template(PLAIN, begun, "1m")
    assert str(raised.value) == told
