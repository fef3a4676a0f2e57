"""What confined agents and commands in the sandbox cannot reach, on real Claude Code processes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from supervisor.config.restrictions import SANDBOX_PROGRAMS
from tests.acceptance.conftest import Open
from tests.acceptance.test_session_walls import FILE_TOOLS, approved, say, use, uuid_of

pytestmark = pytest.mark.anyio


async def test_a_confined_agent_is_refused_what_lies_outside_without_a_question(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """By default where no tool runs commands; what it works in stays reachable."""
    outside = tmp_path / "outside.txt"
    outside.write_text("marmalade")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "plan.txt").write_text("quicksand")
    (shared / "link.txt").symlink_to(outside)
    async with open_bullpen(
        1, keys={"tools": FILE_TOOLS, "workspace": "shared", "permissionMode": "acceptEdits"}
    ) as bullpen:
        for answer in (
            await use(bullpen, "Read", "ana", file_path=str(outside)),
            await use(bullpen, "Read", "ana", file_path=str(shared / "link.txt")),
            await use(bullpen, "Grep", "ana", pattern="marmal", path=str(tmp_path), output_mode="content"),
            await use(bullpen, "Glob", "ana", pattern="*.txt", path=str(tmp_path)),
            await use(bullpen, "Write", "ana", file_path=str(tmp_path / "new.txt"), content="x"),
        ):
            assert "--restricted confines" in answer
        assert not (tmp_path / "new.txt").exists()
        assert "quicksand" in await use(bullpen, "Read", "ana", file_path=str(shared / "plan.txt"))
        await use(bullpen, "Write", "ana", file_path=str(shared / "new.txt"), content="x")
        assert (shared / "new.txt").exists()


async def test_what_the_cli_keeps_for_all_its_sessions_is_denied_also_where_file_tools_are_not_confined(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """The CLI would let them read the first three without a question."""
    stores = [
        tmp_path / "claude" / name / "x" / "1.json" for name in ("tasks", "teams", "agent-memory", "file-history")
    ]
    keys = {"tools": FILE_TOOLS, "confine": False, "permissionMode": "acceptEdits"}
    async with open_bullpen(1, keys=keys) as bullpen:
        for path in stores:
            path.parent.mkdir(parents=True)
            path.write_text("marmalade")
            assert "denied" in await use(bullpen, "Read", "ana", file_path=str(path))
        found = await use(bullpen, "Grep", "ana", pattern="marmal", path=str(stores[0].parent), output_mode="content")
        assert "denied" in found


@pytest.mark.skipif(not all(map(shutil.which, SANDBOX_PROGRAMS)), reason="needs bubblewrap and socat")
async def test_in_the_sandbox_commands_reach_nothing_of_another_session(open_bullpen: Open, tmp_path: Path) -> None:
    keys = {"tools": ["Bash"], "sandbox": True, "workspace": "shared"}
    async with open_bullpen(2, keys=keys) as bullpen:
        await say(bullpen, "[[echo]] my secret is marmalade", "ana")
        await approved(bullpen, "Bash", "ana", command="echo marmalade > own.txt; echo quicksand > ../own.txt")
        workspace = bullpen.supervisor.settings.state_dir / "workspaces" / "desk" / uuid_of(bullpen, "ana")
        assert (workspace / "own.txt").exists()
        assert not (workspace.parent / "own.txt").exists()
        for command in (f"cat {workspace}/own.txt", f"grep -r marmalade {tmp_path}/claude", "cat /proc/*/environ"):
            for more in ({}, {"dangerouslyDisableSandbox": True}):
                seen = await approved(bullpen, "Bash", "bo", command=command, **more)
                assert "marmalade" not in seen
                assert "rehearsal-needs-no-key" not in seen
        await approved(bullpen, "Bash", "bo", command=f"echo saxophone > {tmp_path}/shared/note.txt")
        assert (tmp_path / "shared" / "note.txt").read_text() == "saxophone\n"


async def test_a_confined_agent_can_plan_and_its_plan_is_its_own(open_bullpen: Open) -> None:
    keys = {"tools": ["Read", "Write", "ExitPlanMode"], "permissionMode": "plan"}
    async with open_bullpen(1, keys=keys) as bullpen:
        await say(bullpen, "[[say: hi]]", "ana")
        workspace = bullpen.supervisor.settings.state_dir / "workspaces" / "desk" / uuid_of(bullpen, "ana")
        plan = re.search(r"/\S+/plans/\S+?\.md", bullpen.rehearsal.record[0].text)
        assert plan is not None
        assert Path(plan[0]).is_relative_to(workspace)
        assert "created" in await use(bullpen, "Write", "ana", file_path=plan[0], content="First this.")


async def test_in_a_mode_that_asks_nobody_what_all_sessions_share_is_refused_whatever_way_leads_there(
    open_bullpen: Open, tmp_path: Path
) -> None:
    """Also where the state directory's name means something in a pattern."""
    state, shared, plans = tmp_path / "st[a]te (x) *y", tmp_path / "shared", tmp_path / "claude" / "plans"
    keys = {"workspace": "shared", "tools": FILE_TOOLS, "confine": False, "permissionMode": "bypassPermissions"}
    for folder in (shared, state / "logs", plans):
        folder.mkdir(parents=True)
        (folder / "x.log").write_text("the secret is marmalade\n")
    (shared / "logs").symlink_to(state / "logs")
    (shared / "file").symlink_to(state / "logs" / "x.log")
    (shared / "plans").symlink_to(plans)
    log = state / "logs" / "x.log"
    ways = [log, shared / "logs" / "x.log", shared / "file", shared / ".." / log.relative_to(tmp_path)]
    ways += [shared / "plans" / "x.log", Path(f"/proc/self/root{log}"), Path(f"/proc/{os.getpid()}/root{log}")]
    # As root, the CLI wants to be told that this mode is meant.
    async with open_bullpen(1, keys=keys, state=state.name, variables={"IS_SANDBOX": "1"}) as bullpen:
        assert "marmalade" in await use(bullpen, "Read", "bo", file_path=str(shared / "x.log"))
        for way in ways:
            assert "marmalade" not in await use(bullpen, "Read", "bo", file_path=str(way)), way
            arguments = {"pattern": "marma", "path": str(way.parent), "output_mode": "content"}
            if way.parent != shared:
                assert "marmalade" not in await use(bullpen, "Grep", "bo", **arguments), way
