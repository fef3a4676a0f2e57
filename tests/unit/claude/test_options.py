from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.claude.options import PEER_TOOLS, SELF_STARTING_TOOLS, compile_options
from supervisor.config.settings import Settings
from supervisor.config.template import Template

KEYS: dict[str, object] = {
    "name": "desk",
    "description": "a test agent",
    "system_prompt": "Help.",
    "path": Path("desk.md"),
    "tools": ["Read", "Write"],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)


def digest(settings: Settings, environment: dict[str, str] | None = None, **changes: object) -> str:
    template = Template.model_validate(KEYS | changes)
    return compile_options(template, settings, environment or {}).digest


def test_the_same_template_has_the_same_digest_every_time(settings: Settings) -> None:
    assert digest(settings) == digest(settings)


def test_keys_that_only_concern_the_pool_do_not_change_it(settings: Settings) -> None:
    """A spare stays good when the queue or the pool is resized."""
    assert digest(settings) == digest(settings, concurrency={"maxSessions": 9}, queue={"maxWaiting": 7})


@pytest.mark.parametrize(
    "change",
    [
        {"system_prompt": "Help!"},
        {"model": "haiku"},
        {"tools": ["Read"]},
        {"tools": []},
        {"tools": None},
        {"disallowedTools": ["Bash"]},
        {"permissionMode": "acceptEdits"},
        {"maxTurns": 3},
        {"mcpServers": {"wiki": {"command": "wiki-server"}}},
        {"skills": ["pdf"]},
        {"effort": "low"},
        {"fallbackModel": "haiku"},
        {"output": {"type": "object"}},
        {"workspace": "shared"},
    ],
)
def test_everything_a_client_is_started_with_changes_it(settings: Settings, change: dict[str, object]) -> None:
    """S4.23–26: the digest covers the full content; an empty set is a value."""
    assert digest(settings, **change) != digest(settings)


def test_every_such_change_gives_a_digest_of_its_own(settings: Settings) -> None:
    tools: list[object] = [None, [], ["Read"], ["Read", "Write"]]
    assert len({digest(settings, tools=value) for value in tools}) == len(tools)


def test_the_environment_and_the_hosts_limits_are_part_of_it(settings: Settings) -> None:
    assert digest(settings, {"ANTHROPIC_BASE_URL": "one"}) != digest(settings, {"ANTHROPIC_BASE_URL": "two"})
    assert digest(settings) != digest(settings.model_copy(update={"max_retries": 9}))


def test_the_order_of_the_environment_is_not(settings: Settings) -> None:
    assert digest(settings, {"A": "1", "B": "2"}) == digest(settings, {"B": "2", "A": "1"})


def test_peer_tools_are_never_offered(settings: Settings) -> None:
    """Sdk-facts §6"""
    options = compile_options(Template.model_validate(KEYS | {"disallowedTools": ["Bash"]}), settings, {})
    assert {"Bash", *PEER_TOOLS, *SELF_STARTING_TOOLS} == set(options.arguments["disallowed_tools"])


def test_tools_that_start_turns_are_offered_only_where_the_template_names_them(settings: Settings) -> None:
    options = compile_options(Template.model_validate(KEYS | {"tools": "Read, Monitor"}), settings, {})
    assert set(SELF_STARTING_TOOLS) - set(options.arguments["disallowed_tools"]) == {"Monitor"}
    assert options.environment["CLAUDE_CODE_DISABLE_CRON"] == "1"
    options = compile_options(Template.model_validate(KEYS | {"tools": "Read, CronList"}), settings, {})
    assert "CLAUDE_CODE_DISABLE_CRON" not in options.environment


def test_no_prompt_and_no_mcp_server_is_among_the_arguments_or_in_a_listing_of_them(settings: Settings) -> None:
    secrets = {"system_prompt": "PROMPTWORD", "mcpServers": {"wiki": {"env": {"TOKEN": "TOKENWORD"}}}}
    options = compile_options(Template.model_validate(KEYS | secrets), settings, {})
    for shown in (repr(options), repr(options.arguments)):
        assert "PROMPTWORD" not in shown
        assert "TOKENWORD" not in shown


def test_a_shared_folder_is_an_additional_directory_that_the_prompt_names(settings: Settings, tmp_path: Path) -> None:
    keys = KEYS | {"workspace": "our files", "path": tmp_path / "desk.md"}
    options = compile_options(Template.model_validate(keys), settings, {})
    assert options.arguments["add_dirs"] == [str(tmp_path / "our files")]
    assert options.prompt.startswith("Help.\n\nThe folder you work in is")
    assert f"`cd '{tmp_path}/our files'`" in options.prompt


def test_without_one_the_prompt_is_the_templates_own_to_the_letter(settings: Settings) -> None:
    options = compile_options(Template.model_validate(KEYS), settings, {})
    assert options.prompt == "Help."
    assert "add_dirs" not in options.arguments
