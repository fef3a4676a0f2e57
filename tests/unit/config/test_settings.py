"""The host's settings: sources, precedence, mistakes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError
from supervisor.api.states import Archetype
from supervisor.config.byte_sizes import host_memory, parse_budget, parse_memory
from supervisor.config.environment import INSTANCE_KEYS
from supervisor.config.limits import Concurrency, PoolLimits, QueueLimits
from supervisor.config.loading import apply_overrides, load_host, templates_for, unknown_instances
from supervisor.config.settings import Settings, load_settings
from supervisor.config.template import Template
from supervisor.config.templates import shipped_templates


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file of the machine or of the repository has a say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def write(folder: Path, *lines: str) -> Path:
    path = folder / "bullpen.toml"
    path.write_text("\n".join(lines), "utf-8")
    return path


def mistakes_of(config: Path | None = None, **variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(config, environ=variables)
    return raised.value.mistakes


def make_template(name: str = "helpdesk", **keys: object) -> Template:
    return Template.model_validate({"name": name, "description": "Helps.", **keys})


def test_without_any_source_the_promised_defaults_hold() -> None:
    """S5.7–8."""
    settings = load_settings(environ={})

    assert (settings.max_agents, settings.agent_ttl, settings.cleanup_interval) == (100, 3600, 300)
    assert 0 <= host_memory() * 0.7 - settings.memory_budget < 1000**2
    assert settings.max_wait is None
    assert settings.connect_limit >= 1
    assert any(settings.templates_dir.glob("*.md"))


def test_each_source_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    """S2.25: template, then bullpen.toml, then the environment; what is said for one instance beats what is for all."""
    template = make_template(concurrency={"maxSessions": 2}, queue={"maxWait": 1, "maxWaiting": 7})
    (tmp_path / "host").mkdir()
    config = write(tmp_path / "host", "max_wait = 2", "[instances.helpdesk]", "concurrency = { max_sessions = 3 }")

    from_file = apply_overrides(template, load_settings(config, environ={}))
    environ = {"BULLPEN_HELPDESK_MAX_SESSIONS": "5", "BULLPEN_MAX_WAIT": "30"}
    from_environment = apply_overrides(template, load_settings(config, environ=environ))
    environ["BULLPEN_HELPDESK_MAX_WAIT"] = "1m"
    for_the_instance = apply_overrides(template, load_settings(config, environ=environ))

    def said(result: Template) -> tuple[int, float | None, int]:
        return result.concurrency.max_sessions, result.max_wait, result.queue.max_waiting

    assert said(apply_overrides(template, load_settings(environ={}))) == (2, 1, 7)
    assert said(from_file) == (3, 2, 7)
    assert said(from_environment) == (5, 30, 7)
    assert said(for_the_instance) == (5, 60, 7)
    assert load_settings(config, environ=environ, max_wait=3, max_agents=None).max_wait == 3


def test_the_hosts_max_wait_leaves_employees_alone() -> None:
    settings = load_settings(environ={"BULLPEN_MAX_WAIT": "5"})

    assert apply_overrides(make_template(archetype="employee"), settings).max_wait is None
    assert apply_overrides(make_template(archetype="tool"), settings).max_wait == 5
    unlimited = load_settings(environ={"BULLPEN_MAX_WAIT": "none"})
    assert apply_overrides(make_template(archetype="tool"), unlimited).max_wait is None


def test_every_limit_of_an_instance_has_a_variable() -> None:
    """S2.25–27; hyphens of a name become underscores, and a name may end like a key."""
    environ = {
        "BULLPEN_HELP_DESK_MAX_SESSIONS": "5",
        "BULLPEN_HELP_DESK_MIN_CLIENTS": "1",
        "BULLPEN_HELP_DESK_MAX_CLIENTS": "9",
        "BULLPEN_HELP_DESK_SPARES": "2",
        "BULLPEN_HELP_DESK_DORMANT_AFTER": "30s",
        "BULLPEN_HELP_DESK_IDLE_TTL": "1h",
        "BULLPEN_HELP_DESK_MAX_WAITING": "50",
        "BULLPEN_HELP_DESK_MAX_WAITING_PER_SESSION": "3",
        "BULLPEN_HELP_DESK_MAX_PER_USER": "7",
        "BULLPEN_HELP_DESK_MAX_WAIT": "20s",
        "BULLPEN_HELP_DESK_ASKING_TTL": "none",
        "BULLPEN_HELP_DESK_MEMORY_BUDGET": "3GiB",
        "BULLPEN_HELP_DESK_SOFT_MEMORY": "700MiB",
        "BULLPEN_HELP_DESK_HARD_MEMORY": "900MiB",
        "BULLPEN_HELP_DESK_PANIC_MEMORY": "none",
        "BULLPEN_HELP_DESK_COST_PER_DAY": "5",
        "BULLPEN_HELP_DESK_TOKENS_PER_DAY": "2M",
        "BULLPEN_HELP_DESK_TURNS_PER_DAY": "none",
        "BULLPEN_HELP_DESK_AT": "ask",
        "BULLPEN_HELP_DESK_QUESTION_TTL": "10m",
        "BULLPEN_HELP_DESK_STALL_TIMEOUT": "3m",
        "BULLPEN_HELP_DESK_TURN_TIMEOUT": "none",
        "BULLPEN_HELP_DESK_SESSION_TTL": "1d",
        "BULLPEN_HELP_DESK_WORKSPACE_TTL": "none",
        "BULLPEN_HELP_DESK_ON_RESTART": "replay",
        "BULLPEN_MAX_WAIT_MAX_WAIT": "4",
    }

    settings = load_settings(environ=environ)
    result = apply_overrides(make_template("help-desk", turnTimeout="1m"), settings)

    assert {f"BULLPEN_HELP_DESK_{suffix}" for suffix in INSTANCE_KEYS} <= environ.keys()
    assert result.concurrency == Concurrency(max_sessions=5)
    assert result.pool == PoolLimits(
        min_clients=1,
        max_clients=9,
        spares=2,
        dormant_after=30,
        idle_ttl=3600,
        asking_ttl=None,
        memory_budget=3 * 1024**3,
        soft_memory=700 * 1024**2,
        hard_memory=900 * 1024**2,
        panic_memory=None,
    )
    assert (result.question_ttl, result.stall_timeout, result.turn_timeout) == (600, 180, None)
    assert (result.session_ttl, result.workspace_ttl, result.on_restart) == (86400, None, "replay")
    assert result.queue == QueueLimits(max_waiting=50, max_waiting_per_session=3, max_per_user=7, max_wait=20)
    budget = result.budget
    assert (budget.cost_per_day, budget.tokens_per_day, budget.turns_per_day, budget.at) == (5, 2e6, None, "ask")
    assert apply_overrides(make_template("max-wait"), settings).max_wait == 4


def test_an_instances_limits_are_set_in_the_file_in_either_spelling(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        "[instances.helpdesk]",
        "turnTimeout = '10m'",
        "session_ttl = '1d'",
        "pool = { soft_memory = '800MiB', askingTtl = '1m' }",
    )

    result = apply_overrides(make_template(questionTtl=5), load_settings(config, environ={}))

    assert (result.turn_timeout, result.session_ttl, result.question_ttl) == (600, 86400, 5)
    assert (result.pool.soft_memory, result.pool.asking_ttl) == (800 * 1024**2, 60)
    [mistake] = mistakes_of(write(tmp_path, "[instances.helpdesk]", "stall_timeout = 0"))
    assert mistake == "bullpen.toml:2: instances.helpdesk.stallTimeout must be more than 0, not 0"


def test_older_names_are_accepted_and_newer_ones_are_stronger() -> None:
    """S2.25, S5.7–8."""
    environ = {
        "HELPDESK_CLIENT_POOL_SIZE": "4",
        "CLIENT_POOL_MAX_WAIT": "9",
        "AGENT_MAX_INSTANCES": "12",
        "AGENT_TTL_SECONDS": "60",
        "AGENT_CLEANUP_INTERVAL": "5",
    }

    old = load_settings(environ=environ)
    new = load_settings(environ={**environ, "BULLPEN_HELPDESK_MAX_SESSIONS": "6", "BULLPEN_MAX_AGENTS": "13"})

    assert (old.max_wait, old.max_agents, old.agent_ttl, old.cleanup_interval) == (9, 12, 60, 5)
    assert apply_overrides(make_template(), old).concurrency.max_sessions == 4
    assert apply_overrides(make_template(), new).concurrency.max_sessions == 6
    assert new.max_agents == 13


def test_a_pool_size_of_another_program_is_none_of_our_business() -> None:
    settings = load_settings(environ={"REDIS_CLIENT_POOL_SIZE": "auto", "HELPDESK_CLIENT_POOL_SIZE": "many"})

    assert unknown_instances(settings, [make_template()]) == []
    assert apply_overrides(make_template("admin"), settings) == make_template("admin")
    with pytest.raises(ConfigurationError, match=r"^HELPDESK_CLIENT_POOL_SIZE: maxSessions must be a whole number"):
        apply_overrides(make_template(), settings)


def test_every_mistake_of_every_source_is_named_with_its_place(tmp_path: Path) -> None:
    """S1.13."""
    config = write(
        tmp_path,
        "# the host",
        'memory_budgit = "8GiB"',
        "max_agents = 'many'",
        "[instances.helpdesk.concurrency]",
        "maxConcurrentSessions = 3",
        "[instances.pool]",
        "pool.spare = 3",
        "idleTtl = 3",
    )

    assert mistakes_of(
        config, BULLPEN_MAX_WIAT="3", BULLPEN_SPARES="3", BULLPEN_KILL_GRACE="-1", BULLPEN_AGENT_TTL=""
    ) == [
        "bullpen.toml:2: memory_budgit is not a key; did you mean memory_budget?",
        "bullpen.toml:3: max_agents must be a whole number, not 'many'",
        "bullpen.toml:5: instances.helpdesk.concurrency.maxConcurrentSessions is not a key; did you mean maxSessions?",
        "bullpen.toml:7: instances.pool.pool.spare is not a key; did you mean spares?",
        "bullpen.toml:8: instances.pool.idleTtl is not a key; did you mean instances.pool.pool.idleTtl?",
        "BULLPEN_MAX_WIAT is not a setting; did you mean BULLPEN_MAX_WAIT?",
        "BULLPEN_SPARES does not say for which instance; BULLPEN_HELPDESK_SPARES would be for helpdesk",
        "BULLPEN_KILL_GRACE: kill_grace must be a length of time such as 30, 30s, 5m, 2h or 7d, not '-1'",
    ]


def test_a_suggestion_names_a_real_instance(tmp_path: Path) -> None:
    without = mistakes_of(write(tmp_path, "maxSessions = 3"))
    with_one = mistakes_of(write(tmp_path, "maxSessions = 3", "[instances.clerk]"))

    assert without == [
        "bullpen.toml:1: maxSessions is not a key; did you mean concurrency.maxSessions of one of the instances?"
    ]
    assert with_one == [
        "bullpen.toml:1: maxSessions is not a key; did you mean instances.clerk.concurrency.maxSessions?"
    ]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path / "none.toml") == [f"{tmp_path}/none.toml: cannot be read: No such file or directory"]
    [mistake] = mistakes_of(write(tmp_path, "max_agents = 1", "max_wait = soon", "[x]"))
    assert mistake.startswith("bullpen.toml:2: is not valid TOML: ")
    [mistake] = mistakes_of(write(tmp_path, "max_agents = 1", "max_wait = "))
    assert mistake.startswith("bullpen.toml:2: is not valid TOML: ")


def test_the_file_is_found_where_one_would_look(tmp_path: Path) -> None:
    """`--config`, `BULLPEN_CONFIG`, the current directory, the user's configuration."""
    for folder, size in ((tmp_path / "config" / "bullpen", 1), (tmp_path, 2), (tmp_path / "named", 3)):
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, f"max_agents = {size}", 'state_dir = "state"')

    named = tmp_path / "named" / "bullpen.toml"
    here = load_settings(environ={})

    assert (here.max_agents, here.state_dir) == (2, tmp_path / "state")
    assert load_settings(environ={"BULLPEN_CONFIG": str(named)}).state_dir == tmp_path / "named" / "state"
    assert load_settings(named, environ={"BULLPEN_CONFIG": "other.toml"}).max_agents == 3
    (tmp_path / "bullpen.toml").unlink()
    assert load_settings(environ={}).max_agents == 1


def test_overrides_that_contradict_the_template_are_refused() -> None:
    settings = load_settings(environ={"BULLPEN_HELPDESK_SPARES": "4"})

    with pytest.raises(ConfigurationError, match=r"helpdesk, with this host's settings: pool.spares is 4, more than"):
        apply_overrides(make_template(), settings)
    with pytest.raises(ConfigurationError, match="must be 1 for archetype tool"):
        apply_overrides(
            make_template(archetype=Archetype.TOOL), load_settings(environ={"BULLPEN_HELPDESK_MAX_SESSIONS": "2"})
        )


def test_an_instance_nobody_describes_is_named_with_its_nearest() -> None:
    settings = load_settings(environ={"BULLPEN_HELPDSK_MAX_SESSIONS": "2"})

    assert unknown_instances(settings, [make_template(), make_template("admin")]) == [
        "BULLPEN_HELPDSK_MAX_SESSIONS: instances.helpdsk: there is no template of that name; did you mean helpdesk?"
    ]


def test_the_templates_of_a_host_come_with_its_changes_or_with_every_mistake() -> None:
    ours = {"BULLPEN_HELPDESK_MAX_SESSIONS": "9", "BULLPEN_MAX_WAIT": "3"}
    shipped = shipped_templates()

    templates = templates_for(load_settings(environ=ours, templates_dir=shipped))
    wrong = {"BULLPEN_CLERK_MAX_SESSIONS": "2", "BULLPEN_ADMIN_SPARES": "5", "BULLPEN_CLARK_SPARES": "1"}
    settings = load_settings(environ=wrong, templates_dir=shipped)
    with pytest.raises(ConfigurationError) as raised:
        templates_for(settings)

    assert {one.name: one.max_wait for one in templates} == {"admin": 3, "clerk": None, "helpdesk": 3, "lookup": 3}
    assert [mistake.split()[0] for mistake in raised.value.mistakes] == ["BULLPEN_CLARK_SPARES:", "admin,", "clerk,"]


def test_mistakes_of_settings_and_templates_are_told_together_with_their_lines(tmp_path: Path) -> None:
    """S1.13: mending one mistake shows no further one that was there before. A wrong hook is passed over: the lines of
    those after it stay right."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "desk.md").write_text("---\nname: desk\ndescription: d\nmodle: opus\n---\nHelp.\n")
    (folder / "lobby.md").write_text("---\nname: lobby\ndescription: d\n---\nHelp.\n")
    lines = [
        "max_agents = 'many'",
        "[instances.lobbi]",
        "maxWaiting = 2",
        "[instances.lobby.pool]",
        "spares = 'many'",
        "[routing]",
        "default = 'loby'",
        "[[hooks]]",
        "on = 'prompt:before'",
        "gate = true",
        "actions = [{ type = 'shell', command = [] }]",
        "[[hooks]]",
        "name = 'tell'",
        "on = 'prompt:after'",
        "actions = [{ type = 'agent', target = 'lobbi', text = 'x' }]",
    ]

    with pytest.raises(ConfigurationError) as raised:
        load_host(write(tmp_path, *lines), environ={}, templates_dir=folder)

    assert raised.value.mistakes == [
        "bullpen.toml:1: max_agents must be a whole number, not 'many'",
        "bullpen.toml:2: instances.lobbi: there is no template of that name; did you mean lobby?",
        "bullpen.toml:3: instances.lobbi.maxWaiting is not a key; did you mean instances.lobbi.queue.maxWaiting?",
        "bullpen.toml:5: instances.lobby.pool.spares must be a whole number, not 'many'",
        "bullpen.toml:7: routing.default: there is no template loby; did you mean lobby?",
        "bullpen.toml:8: hooks[0].fallback is missing: a gate must say allow or refuse, which counts when it gives no "
        "verdict",
        "bullpen.toml:11: hooks[0].actions[0].command must be a list: a program and its arguments",
        "bullpen.toml:12: hooks tell: there is no agent 'lobbi'; did you mean lobby?",
        "desk.md:4: modle is not a key; did you mean model?",
    ]


def test_without_its_folder_or_its_providers_no_template_is_blamed(tmp_path: Path) -> None:
    """A template that names a provider whose table is wrong is not told that there is no such provider."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "desk.md").write_text("---\nname: desk\ndescription: d\nprovider: second\n---\nHelp.\n")
    wrong = write(tmp_path, "[providers.second]", "modls = []")

    with pytest.raises(ConfigurationError) as raised:
        load_host(wrong, environ={}, templates_dir=folder)

    assert raised.value.mistakes == ["bullpen.toml:2: providers.second.modls is not a key; did you mean models?"]


def test_an_option_is_named_as_it_was_typed_and_leaves_the_rest_of_its_table(tmp_path: Path) -> None:
    """`--listen` changes where the door listens, and neither its names nor its certificate."""
    config = write(tmp_path, "[gateway]", "listen = '127.0.0.1:1'", "hosts = ['bullpen.lan']")

    settings = load_settings(config, environ={}, gateway={"listen": "127.0.0.1:8420"})

    assert (settings.gateway.listen, settings.gateway.hosts) == ("127.0.0.1:8420", ("bullpen.lan",))
    for typed, sentence in {
        "127.0.0.1:99999": "--listen must have a port from 0 to 65535, not 99999",
        "here": "--listen must be HOST:PORT, such as 127.0.0.1:8420 or [::1]:8420",
    }.items():
        with pytest.raises(ConfigurationError) as raised:
            load_settings(config, environ={}, gateway={"listen": typed})
        assert raised.value.mistakes == [sentence]


def test_the_state_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "a" / "state")
    assert not settings.state_dir.exists()

    assert stat.S_IMODE(settings.make_state_dir().stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        Settings(state_dir=tmp_path / "file" / "state").make_state_dir()


def test_budgets_are_written_as_people_write_them() -> None:
    assert parse_budget("8GiB") == parse_budget("8 g") == parse_budget(8 * 1024**3) == 8 * 1024**3
    assert parse_budget("1.5GB") == 1_500_000_000
    assert parse_budget("100%") == host_memory() // 1000**2 * 1000**2
    for wrong in ("lots", "0%", "101%", "8", True, 8.5, "8 GiBi", "-1GiB", "9" * 400):
        with pytest.raises(ValueError, match="must be"):
            parse_budget(wrong)


def test_a_limit_of_memory_may_be_small_or_none() -> None:
    assert parse_memory("64MiB") == 64 * 1024**2
    assert parse_memory(" None ") is parse_memory(None) is None
    for wrong in ("63MiB", "lots", 800, True):
        with pytest.raises(ValueError, match="must be"):
            parse_memory(wrong)


def test_a_control_groups_limit_counts_as_the_hosts_memory(tmp_path: Path) -> None:
    """Version 2 with the limit on an outer group, and version 1."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/docker/abc\n0::/outer/inner\n")
    inner = tmp_path / "sys/fs/cgroup/outer/inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    assert host_memory(tmp_path) == host_memory(tmp_path / "nothing")

    (inner.parent / "memory.max").write_text("300000000\n")
    assert host_memory(tmp_path) == 300_000_000
    for odd in (
        b"0::/\xff\xfe\n",
        b"0::/a\xe2\x80\xa8b\n",
        b"\n:::::\n0\n0::\n",
        b"0::/" + b"x" * 70_000,
        b"0::/a\0b\n",
    ):
        (tmp_path / "proc/self/cgroup").write_bytes(odd + b"0::/outer/inner\n")
        assert host_memory(tmp_path) in (300_000_000, host_memory(tmp_path / "nothing"))
    for odd in (b"", b"\xff", b"-1", b"1e9", b"9" * 400, b"\0"):
        (inner / "memory.max").write_bytes(odd)
        assert host_memory(tmp_path) in (300_000_000, host_memory(tmp_path / "nothing"))
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/docker/abc\n0::/outer/inner\n")
    older = tmp_path / "sys/fs/cgroup/memory/docker/abc"
    older.mkdir(parents=True)
    (older / "memory.limit_in_bytes").write_text("200000000\n")
    assert host_memory(tmp_path) == 200_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("drain_deadline", "9" * 400 + "d"),
        ("agent_ttl", "99999999d"),
        ("connect_timeout", 1e300),
        ("max_agents", 10**30),
        ("memory_budget", "9" * 400 + "TiB"),
        ("memory_budget", "1e999%"),
        ("memory_budget", 10**30),
        ("max_wait", float("inf")),
        ("stall_after", float("nan")),
    ],
)
def test_a_number_that_no_clock_and_no_host_has_is_refused_in_one_line(key: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ={}, **{key: value})
    assert len(caught.value.mistakes) == 1
    assert key in caught.value.mistakes[0]
    assert len(caught.value.mistakes[0]) < 300
