"""The tab key in real shells, over the socket of a running bullpen."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from supervisor.api.prompts import Prompt
from supervisor.permissions.requests import ToolRequest
from supervisor.testing import FakeWorld
from tests.acceptance.terminal import ROOT, Terminal
from tests.engine.test_questions import asking
from tests.gateway.conftest import MakeTemplate, Open
from tui.cli.completion.answer import suggest
from tui.cli.completion.scripts import SCRIPTS

pytestmark = pytest.mark.anyio

START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}


async def values(*words: str) -> list[str]:
    return [value for value, _ in await anyio.to_thread.run_sync(suggest, words)]


async def test_names_are_those_of_the_bullpen_that_runs(
    bullpen: Open, world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ToolRequest("Bash", {"command": "ls"})
    async with bullpen() as home, asking(home.supervisor, world, request):
        monkeypatch.setenv("BULLPEN_STATE_DIR", str(home.folder))
        monkeypatch.setattr("tui.cli.completion.names.SECONDS", 20)
        (question,) = (await home.supervisor.snapshot()).questions
        waiting = await home.supervisor.submit(Prompt("desk", "later", user="ben", session="a:b"))
        key = str(question.key)
        assert await values("pause", "") == ["desk"]
        assert key in await values("interrupt", "desk/")
        assert await values("logs", "desk/ben") == ["desk/ben/a:b"]
        assert await values("answer", "") == [question.id]
        assert question.turn_id in await values("withdraw", "")
        assert waiting.turn_id in await values("turn", "")
        assert await values("ask", "desk", "--user", "b") == ["ben"]
        assert await values("chat", "desk", "--session", "a") == ["a:b"]
        assert set(await values("kill", "desk")) >= {"desk", question.client_id}
        assert await values("set", "desk.maxC") == ["desk.maxClients"]
        assert "desk." in await values("set", "d")
        assert "max_agents" in await values("set", "max_")
        monkeypatch.setenv("BULLPEN_URL", "https://elsewhere")
        assert await values("pause", "") == [], "names of this machine would be those of another bullpen"


async def test_a_bullpen_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BULLPEN_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("tui.cli.completion.names.SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind("bullpen.sock")
        silent.listen()
        assert await values("pause", "") == []
    assert await values("pause", "") == [], "a socket that a killed one has left"


@pytest.mark.parametrize("shell", [*START])
async def test_the_tab_key_completes_in_a_real_shell(
    bullpen: Open, make_template: MakeTemplate, tmp_path: Path, shell: str
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script, bin_ = tmp_path / f"completion.{shell}", tmp_path / "bin"
    script.write_text(SCRIPTS[shell])
    bin_.mkdir()
    # On a machine that has more to do, an answer takes its time.
    code = "import tui.cli.completion.names as n; n.SECONDS = 20; from tui.__main__ import main; main()"
    (bin_ / "bullpen").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    (bin_ / "bullpen").chmod(0o755)
    async with bullpen(make_template("deskmate"), make_template("Report Writer")) as home:
        await (await home.supervisor.submit(Prompt("deskmate", "hi", user="ana@x.org", session="a:b"))).outcome()
        environ = {
            "BULLPEN_STATE_DIR": str(home.folder),
            "PATH": f"{bin_}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "PS1": "$ ",
        }
        await anyio.to_thread.run_sync(partial(press_tab, shell, script, environ))


def press_tab(shell: str, script: Path, environ: dict[str, str]) -> None:
    terminal = Terminal(START[shell], columns=100, lines=30, environ=environ)
    try:
        terminal.press(f"source {script}; echo rea''dy\r")
        terminal.wait_for("\nready")
        for typed, completed in (
            ("bullpen hib", "bullpen hibernate "),
            ("bullpen pause deskm", "bullpen pause deskmate "),
            ("bullpen interrupt deskmate/ana@x.org/a:", "bullpen interrupt deskmate/ana@x.org/a:b "),
            ("bullpen pause Rep", "bullpen pause Report\\ Writer "),
        ):
            terminal.press(f"{typed}\t")
            terminal.wait_for(completed.rstrip())
            terminal.press("\x15")
        terminal.press("exit\r")
        assert terminal.wait() == 0
    finally:
        terminal.close()
