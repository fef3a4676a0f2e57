"""Hooks, gates and schedules of the whole program, with real Claude Code processes; and what kill -9 leaves of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance import forked
from tests.acceptance.test_command_line import ROOT
from tests.acceptance.test_door import serving
from tests.waiting import until_sync

CONFIG = """
[[hooks]]
name = "note"
on = "prompt:after"
condition = {{ source = {{ not = "hook" }} }}
actions = [
    {{ type = "shell", command = ["sh", "-c", "cat >> {folder}/noted"] }},
    {{ type = "agent", target = "clerk", text = "Note that turn {{turn}} of {{user}} ended as {{outcome}}." }},
    {{ type = "shell", command = ["sh", "{folder}/slow.sh"] }},
]

[[hooks]]
name = "guard"
on = "prompt:before"
gate = true
fallback = "refuse"
actions = [{{ type = "shell", command = ["sh", "{folder}/guard.sh"] }}]

[[schedules]]
name = "often"
every = "1s"
actions = [{{ type = "shell", command = ["sh", "-c", "cat >> {folder}/due"] }}]
"""
CLERK = "---\nname: clerk\ndescription: takes notes\narchetype: employee\ntools: []\n---\nYou take notes.\n"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
def test_hooks_of_the_whole_program_and_what_a_kill_leaves_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.19, S1.28, R2: nothing that a hook has started outlives bullpen, what had not ended is done again under the
    same id, a prompt that it had sent is not sent again, and no due time fires twice."""
    config = tmp_path / "bullpen.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    monkeypatch.setenv("BULLPEN_CONFIG", str(config))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "clerk.md").write_text(CLERK)
    (tmp_path / "guard.sh").write_text("grep -q forbidden || exit 0; echo not here >&2; exit 2")
    slow = f"cat >> {tmp_path}/slow; echo $$ > {tmp_path}/pid; test -e {tmp_path}/go || sleep 600"
    (tmp_path / "slow.sh").write_text(slow)
    with serving(tmp_path, kills=True) as served:
        token = served.token("--operator")
        client = served.client(token)
        body = {"agentId": "desk", "userId": "ana", "message": "something forbidden"}
        refused = client.post("/turns", json=body)
        assert (refused.status_code, refused.json()["detail"]) == (403, "not here")
        answer = client.post("/chat", json=body | {"message": "hello"}, headers={"Accept": "application/json"})
        assert (done := answer.json())["outcome"] == "done"
        until_sync(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        until_sync(lambda: len(lines_of(tmp_path / "due")) >= 2)
        command = [*forked.bullpen(), "hooks", "recent", "--state", str(tmp_path / "state")]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert "agent clerk" in listed.stdout, listed
        assert "refused: not here" in listed.stdout
        assert [row["when"] for row in client.get("/schedules").json()] == ["every 1s"]
        pid = int((tmp_path / "pid").read_text())
        assert psutil.pid_exists(pid)
    until_sync(lambda: not psutil.pid_exists(pid))
    (tmp_path / "go").touch()
    [first] = lines_of(tmp_path / "slow")
    with serving(tmp_path) as served:
        client = served.client(token)
        until_sync(lambda: len(lines_of(tmp_path / "slow")) == 2)
        assert first["id"] in {run["id"] for run in client.get("/hooks/runs").json()}
        [notes] = [row for row in client.get("/sessions").json() if row["key"][0] == "clerk"]
        assert notes["turns"] == 1
    again = lines_of(tmp_path / "slow")[1]
    assert again == first
    assert (first["turn"], first["outcome"], first["depth"]) == (done["id"], "done", 0)
    assert len(lines_of(tmp_path / "noted")) == 1
    due = [one["due"] for one in lines_of(tmp_path / "due")]
    assert due == sorted(due)
    ids = {one["id"] for one in lines_of(tmp_path / "due")}
    assert len(ids) == len(set(due)), "a due time that is there twice was taken up again, under the same id"
