"""A remembered approval is a command to the letter, or one file tool below one directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from supervisor.permissions.requests import ToolRequest
from supervisor.permissions.rules import PATHS, Rule, is_covered, revive_rules, rule_for


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def write(path: object, **more: Any) -> ToolRequest:
    return ToolRequest("Write", {"file_path": path, "content": "x", **more})


def always(request: ToolRequest, workspace: Path) -> set[str]:
    rule = rule_for(request, workspace)
    assert rule is not None
    return {rule.stored}


@pytest.mark.parametrize("tool", sorted(PATHS))
def test_always_for_a_file_tool_covers_that_tool_in_the_workspace_alone(tool: str, workspace: Path) -> None:
    def request(tool: str, path: object) -> ToolRequest:
        return ToolRequest(tool, {PATHS[tool]: str(path), "pattern": "*.md"})

    allowed = always(request(tool, workspace / "a.md"), workspace)

    assert is_covered(request(tool, workspace / "deep" / "b.md"), workspace, allowed)
    for outside in ("/etc/passwd", workspace.parent / "own2" / "b.md", workspace / ".." / "x", workspace.parent):
        assert not is_covered(request(tool, outside), workspace, allowed)
    for other in set(PATHS) - {tool}:
        assert not is_covered(request(other, workspace / "a.md"), workspace, allowed)


def test_always_outside_the_workspace_covers_the_directory_and_says_so(workspace: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    rule = rule_for(write(str(reports / "may.md")), workspace)

    assert rule is not None
    assert rule.words == f"Write in {reports}/ and below"
    allowed = {rule.stored}
    assert is_covered(write(str(reports / "2026" / "june.md")), workspace, allowed)
    for outside in (f"{reports}x/a", f"{reports}/../a", str(tmp_path / "a"), str(workspace / "a")):
        assert not is_covered(write(outside), workspace, allowed)


def test_links_are_followed_at_the_moment_of_each_call(workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (workspace / "docs").mkdir()
    allowed = always(write(str(workspace / "docs" / "a.md")), workspace)
    assert is_covered(write(str(workspace / "docs" / "b.md")), workspace, allowed)

    (workspace / "docs").rmdir()
    os.symlink(secret, workspace / "docs")

    assert not is_covered(write(str(workspace / "docs" / "b.md")), workspace, allowed)


def test_a_directory_that_became_a_link_is_no_longer_covered(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "secret").mkdir()
    allowed = always(write(str(tmp_path / "reports" / "a")), workspace)

    (tmp_path / "reports").rmdir()
    os.symlink(tmp_path / "secret", tmp_path / "reports")

    assert not is_covered(write(str(tmp_path / "reports" / "a")), workspace, allowed)


def test_a_workspace_that_became_a_link_covers_nothing_of_what_the_link_leads_to(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    allowed = always(write(str(workspace / "a")), workspace)

    workspace.rmdir()
    workspace.symlink_to(tmp_path / "secret")

    for path in (workspace / "a", tmp_path / "secret" / "a", "a"):
        assert not is_covered(write(str(path)), workspace, allowed)


def test_a_path_that_the_cli_and_the_file_system_read_in_two_ways_is_not_covered(
    workspace: Path, tmp_path: Path
) -> None:
    """`link/../x` is beside the link for the CLI, and beside what the link leads to for the file system."""
    (workspace / "deep").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(workspace / "deep")
    (workspace / "link").symlink_to(tmp_path / "out")
    allowed = always(write(str(workspace / "a")), workspace)

    assert is_covered(write(str(workspace / "deep" / ".." / "a")), workspace, allowed)
    assert not is_covered(write(str(tmp_path / "out" / "link" / ".." / "a")), workspace, allowed)
    assert not is_covered(write(str(workspace / "link" / ".." / "a")), workspace, allowed)


@pytest.mark.parametrize(
    "path", ["/proc/self/cwd/a", "/proc/thread-self/cwd/a", "/dev/fd/3", "/x/../proc/self/environ"]
)
def test_what_leads_each_process_elsewhere_has_no_always(path: str, workspace: Path) -> None:
    assert rule_for(write(path), workspace) is None


@pytest.mark.parametrize("path", ["file:///etc/passwd", "$HOME/a", "%2e%2e/%2e%2e/a", "..\\a", "~"])
def test_a_path_is_taken_to_the_letter(path: str, workspace: Path) -> None:
    """As the CLI takes it (measured): there is no such thing as an address or a variable in it."""
    rule = rule_for(write(path), workspace)
    assert rule is None or rule.folder == "."


@pytest.mark.parametrize("tool", ["Write", "Edit", "MultiEdit", "NotebookEdit"])
@pytest.mark.parametrize(
    "path", [".git/config", ".git/hooks/x", ".claude/settings.json", "a/.env", ".GIT/config", ".x"]
)
def test_always_for_writing_leaves_out_what_configures_other_programs(tool: str, path: str, workspace: Path) -> None:
    def request(path: object) -> ToolRequest:
        return ToolRequest(tool, {PATHS[tool]: str(path)})

    allowed = always(request(workspace / "a"), workspace)

    assert rule_for(request(workspace / path), workspace) is None
    assert not is_covered(request(workspace / path), workspace, allowed)
    reading = ToolRequest("Read", {"file_path": str(workspace / path)})
    assert is_covered(reading, workspace, always(reading, workspace))


def test_always_outside_the_workspace_leaves_out_hidden_files_for_reading_too(workspace: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)

    def read(path: Path) -> ToolRequest:
        return ToolRequest("Read", {"file_path": str(path)})

    allowed = always(read(home / "notes.md"), workspace)
    assert is_covered(read(home / "more" / "notes.md"), workspace, allowed)
    assert not is_covered(read(home / ".ssh" / "id"), workspace, allowed)
    assert rule_for(read(home / ".netrc"), workspace) is None


def test_what_the_cli_calls_sensitive_is_asked_about_each_time(workspace: Path) -> None:
    path = str(workspace / "lefthook.yml")
    allowed = always(write(str(workspace / "a")), workspace)
    asked = ToolRequest("Write", {"file_path": path}, reason=f"Claude wants to edit {path} which is a sensitive file.")

    assert not is_covered(asked, workspace, allowed)
    assert rule_for(asked, workspace) is None


@pytest.mark.parametrize("tool", ["Grep", "Glob", "LS"])
def test_a_relative_folder_is_covered_only_where_it_is_known_what_it_counts_from(tool: str, workspace: Path) -> None:
    """`cd` in the agent's shell moves it."""
    (workspace / "src").mkdir()
    allowed = always(ToolRequest(tool, {"path": str(workspace), "pattern": "*"}), workspace)
    relative = ToolRequest(tool, {"path": "src", "pattern": "*"})

    assert not is_covered(relative, workspace, allowed)
    assert is_covered(replace(relative, cwd=workspace), workspace, allowed)
    assert not is_covered(replace(relative, cwd=Path("/etc")), workspace, allowed)


@pytest.mark.parametrize(
    "path",
    [None, "", 7, ["a"], " a", "a ", "~/a", "~root/a", "a\nb", "a\0b", "a\u200bb", "e\u0301", "a\x1b[2J"],
)  # fmt: skip
def test_always_is_not_on_offer_for_a_missing_or_odd_path(path: object, workspace: Path) -> None:
    assert rule_for(write(path), workspace) is None


def test_always_is_not_on_offer_for_what_holds_the_workspace(workspace: Path, tmp_path: Path) -> None:
    for path in ("/x", str(tmp_path / "x"), str(tmp_path)):
        assert rule_for(write(path), workspace) is None


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "~/x", "{..,a}/*", 7])
def test_a_pattern_that_leaves_its_folder_is_not_covered(pattern: object, workspace: Path) -> None:
    allowed = always(ToolRequest("Glob", {"path": str(workspace), "pattern": "*.md"}), workspace)

    assert not is_covered(ToolRequest("Glob", {"path": str(workspace), "pattern": pattern}), workspace, allowed)


@pytest.mark.parametrize(
    "request_",
    [
        ToolRequest("WebFetch", {"url": "https://example.org", "prompt": "x"}),
        ToolRequest("mcp__mail__send", {"file_path": "a", "": "a"}),
        ToolRequest("Task", {"prompt": "x"}),
        ToolRequest("ExitPlanMode", {"plan": "x"}),
        ToolRequest("AskUserQuestion", {"questions": []}),
        ToolRequest("Bash", {"command": 7}),
        ToolRequest("Bash", {}),
    ],
    ids=lambda request: request.tool,
)
def test_tools_without_a_command_or_a_path_are_asked_about_each_time(request_: ToolRequest, workspace: Path) -> None:
    assert rule_for(request_, workspace) is None
    assert not is_covered(request_, workspace, {request_.tool, "Write", "Read"})


def test_a_command_is_covered_to_the_letter_and_with_its_switches(workspace: Path) -> None:
    def bash(command: str, **switches: object) -> ToolRequest:
        return ToolRequest("Bash", {"command": command, **switches})

    allowed = always(bash("ls", description="Lists"), workspace)

    assert is_covered(bash("ls", description="Something else"), workspace, allowed)
    for other in (bash("ls "), bash("ls; rm x"), bash("ls", timeout=5), bash("ls\u200b"), bash("LS")):
        assert not is_covered(other, workspace, allowed)
    tricky = always(bash('ls {"timeout": 5}'), workspace)
    assert not is_covered(bash("ls", timeout=5), workspace, tricky)


def test_a_command_is_told_whole_with_what_cannot_be_seen() -> None:
    rule = rule_for(ToolRequest("Bash", {"command": "a" * 5_000 + "\x1b", "run_in_background": True}))

    assert rule is not None
    assert rule.words == f"Bash: {'a' * 5_000}⟨ESC⟩ " + '{"run_in_background": true}'


def test_bare_tool_names_of_an_older_journal_are_dropped_and_commands_kept(workspace: Path) -> None:
    revived = revive_rules(["Write", "Read", "mcp__x__y", "Bash: ls", 'Bash: ls {"timeout": 5}', '["Edit", ".", ""]'])

    assert revived == {Rule("Bash", letter='{"command": "ls"}').stored, Rule("Edit", ".").stored}
    assert is_covered(ToolRequest("Bash", {"command": "ls"}), workspace, revived)
    assert not is_covered(write("/etc/passwd"), workspace, revived)
    assert not is_covered(write(str(workspace / "a")), workspace, revived)


def test_what_is_stored_comes_back_as_it_was(workspace: Path) -> None:
    stored = always(write(str(workspace / "a")), workspace) | always(write("/srv/x/ü"), workspace)

    assert revive_rules(stored) == stored
