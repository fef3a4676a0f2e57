"""What a bracket behind a tool lets through, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.permissions.brackets import is_enforceable, read_brackets
from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.server_tools import read_server_tools


def refused(
    tools: str, tool: str, workspace: Path = Path("/w"), folders: tuple[Path, ...] = (), **arguments: Any
) -> bool:
    brackets = read_brackets(tools.split(";"))
    return bool(brackets.find_objection(ToolRequest(tool, arguments, folders=folders), workspace))


@pytest.mark.parametrize(
    "command",
    [
        "git",
        "git status",
        "git log --format='%h; %s | $(x)'",
        'git commit -m "a && b > c"',
        "git status && git log",
        "git log | git shortlog; git status\ngit diff",
        "git status 2>&1",
        "git status >/dev/null 2>&1",
        r"git log a\;b",
    ],
)
def test_a_command_of_which_every_part_fits_runs(command: str) -> None:
    assert not refused("Bash(git:*)", "Bash", command=command)


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "gitx status",
        "git status; rm -rf x",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status & rm x",
        "git status\nrm x",
        "git status $(rm x)",
        "git status `rm x`",
        'git status "$(rm x)"',
        'git status "`rm x`"',
        "git status > .bashrc",
        "git status < secret",
        "git status <(rm x)",
        "git status 2>/dev/nullx",
        "X=1 git status",
        "(git status)",
        "{ git status; }",
        "git $'\\'' ; rm x ; echo '",
        'git $"x" ; rm x',
        "git 'status",
        'git "a\\" ; rm x',
        "git log \\\n; rm x",
        "git a\rrm x",
        "git \0",
        "! rm x",
        "",
        "  ",
        ";",
        "Git status",
    ],
)
def test_a_command_that_could_be_something_else_is_refused(command: str) -> None:
    assert refused("Bash(git:*)", "Bash", command=command)


def test_patterns_of_commands_are_read_as_claude_code_writes_them() -> None:
    assert not refused("Bash(git *)", "Bash", command="git push")
    assert not refused("Bash(git *)", "Bash", command="git")
    assert not refused("Bash(npm run test:*)", "Bash", command="npm run test -- -x")
    assert refused("Bash(npm run test:*)", "Bash", command="npm run tests")
    assert not refused("Bash(make check)", "Bash", command="make check")
    assert refused("Bash(make check)", "Bash", command="make check x")
    assert not refused("Bash(git:*, npm:*)", "Bash", command="git status && npm test")
    assert not refused("Bash(git:*);Bash(npm:*)", "Bash", command="git status && npm test")
    assert not refused("Bash(git:*);Bash", "Bash", command="rm x"), "the whole tool is named as well"
    assert not refused("Bash(*)", "Bash", command="rm x")
    assert refused("Bash()", "Bash", command="git")
    assert refused("Bash(:*)", "Bash", command="rm x")
    assert refused("Bash(git:*", "Bash", command="git status"), "a bracket that is not closed lets nothing through"


@pytest.mark.parametrize(
    ("url", "is_let_through"),
    [
        ("https://example.com/a?b#c", True),
        ("http://EXAMPLE.com:8080/", True),
        ("https://example.com./", True),
        ("https://example.com.evil.org/", False),
        ("https://evil.org/example.com", False),
        ("https://example.com@evil.org/", False),
        ("https://evil.org\\@example.com/", False),
        ("https://sub.example.com/", False),
        ("ftp://example.com/", False),
        ("https://exa\tmple.com/", False),
        ("https://еxample.com/", False),
        ("//example.com/", False),
        (5, False),
    ],
)
def test_a_domain_is_the_host_that_is_asked(url: object, is_let_through: bool) -> None:
    assert refused("WebFetch(domain:example.com)", "WebFetch", url=url) is not is_let_through
    assert not refused("WebFetch(domain:*.example.com)", "WebFetch", url="https://sub.example.com/")


def test_paths_are_judged_by_where_they_lead(tmp_path: Path) -> None:
    workspace, shared = tmp_path / "w", tmp_path / "shared"
    for folder in (workspace / "src/deep", shared / "src", tmp_path / "other"):
        folder.mkdir(parents=True)
    (workspace / "src/link").symlink_to(tmp_path / "other")

    def lets(tools: str, tool: str, path: Path | str) -> bool:
        argument = "path" if tool in ("Grep", "Glob") else "file_path"
        more = {"pattern": "*"} if tool == "Glob" else {}
        return not refused(tools, tool, workspace, (shared,), **{argument: str(path)}, **more)

    for path in ("src/a", "src/deep/a", workspace / "src/a", shared / "src/a", "src/../src/a"):
        assert lets("Read(./src/**)", "Read", path), path
    for path in ("a", "src/../a", "src/link/a", "/etc/passwd", tmp_path / "other/a", "~/src/a", "", "src/a\n"):
        assert not lets("Read(./src/**)", "Read", path), path
    assert lets(f"Read(/{tmp_path}/other/**)", "Read", tmp_path / "other/a")
    assert lets("Edit(*.md)", "Edit", "src/deep/x.md")
    assert not lets("Edit(*.md)", "Edit", "src/deep/x.py")
    assert lets("Grep(src/**)", "Grep", "src")
    assert not lets("Grep(src/**)", "Grep", ".")
    assert refused("Grep(src/**)", "Grep", workspace, pattern="x"), "without a path it searches the whole workspace"
    assert lets("Glob(src/**)", "Glob", "src/deep")


def test_a_relative_path_counts_from_where_the_agents_shell_is(tmp_path: Path) -> None:
    brackets = read_brackets(["Grep(src/**)"])
    for folder in ("src", "other/src"):
        (tmp_path / folder).mkdir(parents=True)

    def lets(path: str, cwd: Path) -> bool:
        request = ToolRequest("Grep", {"path": path, "pattern": "x"}, cwd=cwd)
        return not brackets.find_objection(request, tmp_path)

    assert lets("src", tmp_path)
    assert not lets("src", tmp_path / "other")
    assert lets("../src", tmp_path / "other")
    assert not brackets.find_objection(ToolRequest("Grep", {"pattern": "x"}, cwd=tmp_path / "src"), tmp_path)


def test_a_workspace_that_became_a_link_fits_no_bracket(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    workspace = tmp_path / "own"
    workspace.symlink_to(tmp_path / "secret")

    assert refused("Read(./**)", "Read", workspace, file_path=str(workspace / "a"))
    assert refused("Read(./**)", "Read", workspace, file_path=str(tmp_path / "secret" / "a"))


def test_names_in_a_bracket_are_the_agents_and_skills_that_may_be_called() -> None:
    assert not refused("Agent(helper, tester)", "Agent", subagent_type="tester")
    assert not refused("Task(helper)", "Agent", subagent_type="helper")
    assert not refused("Agent(helper)", "Task", subagent_type="helper")
    assert refused("Agent(helper, tester)", "Agent", subagent_type="general-purpose")
    assert refused("Agent(helper)", "Agent", prompt="x")
    assert not refused("Skill(pdf)", "Skill", skill="bullpen:pdf")
    assert refused("Skill(pdf)", "Skill", skill="docx")


def test_tools_without_a_bracket_are_not_judged_and_what_cannot_be_judged_is_refused() -> None:
    assert not refused("Read;Bash(git:*)", "Read", file_path="/etc/passwd")
    assert refused("WebSearch(cats)", "WebSearch", query="cats")
    assert not is_enforceable("WebSearch(cats)")
    assert not is_enforceable("WebFetch(example.com)")
    assert is_enforceable("Bash(git:*)")
    assert not read_brackets(["Read", "Write"])
    assert not read_brackets(None)


def objection(tools: list[str] | None, servers: list[str], tool: str) -> str:
    return read_brackets(tools, servers).find_objection(ToolRequest(tool, {}), Path("/w"))


@pytest.mark.parametrize(
    ("tools", "given", "kept"),
    [
        (["Read"], [], ["mcp__wiki__find", "mcp__crm__find"]),
        ([], [], ["mcp__wiki__find", "mcp__crm__find"]),
        (["mcp__wiki__find"], ["mcp__wiki__find"], ["mcp__wiki__erase", "mcp__wiki__find2", "mcp__crm__find"]),
        (["mcp__wiki"], ["mcp__wiki__find", "mcp__wiki__erase"], ["mcp__crm__find", "mcp__wiki2__find"]),
        (["mcp__wiki__*"], ["mcp__wiki__find", "mcp__wiki__erase"], ["mcp__crm__find"]),
        (["mcp__wiki__find(*)"], ["mcp__wiki__find"], ["mcp__wiki__erase"]),
        (["mcp__*", "mcp__wiki__f*", "mcp__w*", "mcp__"], [], ["mcp__wiki__find", "mcp__crm__find"]),
        (["mcp__wiki__find(x)", "mcp__wiki(find)", "mcp__Wiki", "wiki"], [], ["mcp__wiki__find"]),
        (["mcp__other__find"], [], ["mcp__wiki__find", "mcp__other__find"]),
        (None, ["mcp__wiki__find", "mcp__crm__find"], []),
    ],
)
def test_of_a_server_only_the_tools_that_are_named_run(
    tools: list[str] | None, given: list[str], kept: list[str]
) -> None:
    for tool in given:
        assert not objection(tools, ["wiki", "crm"], tool), tool
    for tool in kept:
        assert objection(tools, ["wiki", "crm"], tool), tool


def test_a_server_is_known_by_the_name_that_the_cli_gives_it() -> None:
    assert not objection(["mcp__my_wiki__find"], ["my wiki"], "mcp__my_wiki__find")
    assert objection(["mcp__my_wiki__find"], ["my wiki"], "mcp__my_wiki__erase")
    assert objection(["Read"], ["my.wiki"], "mcp__my_wiki__erase")


def test_servers_of_which_one_name_begins_the_other_are_told_apart() -> None:
    servers = ["a", "a__b"]
    assert objection(["mcp__a"], servers, "mcp__a__b__find")
    assert not objection(["mcp__a"], servers, "mcp__a__find")
    assert not objection(["mcp__a__b"], servers, "mcp__a__b__find")
    assert objection(["mcp__a__b"], servers, "mcp__a__find")
    assert read_server_tools(["Read"], servers).taken == ("mcp__a", "mcp__a__b")
    assert read_server_tools(["mcp__a__b"], servers).taken == (), "a rule for a would take a__b as well"
