"""The guard as a program of its own: what it hands on, what it keeps from the CLI, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from supervisor.process import guard
from supervisor.process.process_tree import is_alive, is_guard
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no sub-reaper")

GUARD = [sys.executable, "-I", "-S", guard.__file__]
SHOW = "import json, os; print(json.dumps(dict(os.environ)), flush=True); input()"


def start(*command: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*GUARD, *command],
        env={"PATH": os.environ["PATH"], "BULLPEN_SUPERVISOR": str(os.getpid()), **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_shell(script: str, **environ: str) -> int:
    with start("/bin/sh", "-c", script, **environ) as process:
        process.communicate(timeout=20)
        return process.returncode


@pytest.mark.parametrize("keep", ["HOME, LC_*", "HOME,LC_*,NOT_THERE"])
def test_the_cli_gets_the_variables_it_is_to_keep_and_its_mark(keep: str) -> None:
    given = {"HOME": "/h", "LC_ALL": "C", "LC_TIME": "C", "SECRET": "s3", "BULLPEN_CLIENT": "run:desk-1"}
    with start(sys.executable, "-c", SHOW, BULLPEN_KEEP=keep, **given) as process:
        assert process.stdout is not None
        seen = json.loads(process.stdout.readline())
        process.communicate("\n", timeout=20)
    expected = {"HOME": "/h", "LC_ALL": "C", "LC_TIME": "C", "BULLPEN_CLIENT": "run:desk-1"}
    assert {name: value for name, value in seen.items() if name != "LC_CTYPE"} == expected


def test_without_a_list_the_cli_gets_all_but_what_is_for_the_guard() -> None:
    with start(sys.executable, "-c", SHOW, OTHER="o") as process:
        assert process.stdout is not None
        seen = json.loads(process.stdout.readline())
        process.communicate("\n", timeout=20)
    assert seen["OTHER"] == "o"
    assert "BULLPEN_SUPERVISOR" not in seen


def test_what_is_kept_from_the_cli_cannot_be_read_from_the_guard() -> None:
    with start(
        sys.executable, "-c", SHOW, "--secret", BULLPEN_KEEP="PATH", BULLPEN_CLIENT="run:desk-1", SECRET="s3"
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        folder = Path("/proc") / str(process.pid)
        assert (folder / "environ").read_bytes().rstrip(b"\0") == b"BULLPEN_CLIENT=run:desk-1"
        assert (folder / "cmdline").read_bytes().rstrip(b"\0") == b"claude-guard"
        assert is_guard(psutil.Process(process.pid))
        assert os.getsid(process.pid) == process.pid, "Ctrl+C of our terminal does not reach it"
        process.communicate("\n", timeout=20)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can give a capability away")
def test_what_the_supervisor_may_do_beyond_others_is_not_handed_on() -> None:
    given = ["setpriv", "--reuid=65534", "--inh-caps=+sys_nice", "--ambient-caps=+sys_nice"]
    show = ["/bin/grep", "CapEff", "/proc/self/status"]
    has = subprocess.run([*given, *show], capture_output=True, text=True, check=True)
    assert int(has.stdout.split()[1], 16), "without the guard it is handed on"
    done = subprocess.run([*given, *GUARD, *show], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1], 16) == 0


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -15 $$", -15)])
def test_it_ends_as_the_cli_does(script: str, code: int) -> None:
    assert run_shell(script) == code


def test_a_cli_that_is_not_there_is_one_line_and_the_code_of_a_shell(tmp_path: Path) -> None:
    missing = str(tmp_path / "claude")
    answer = subprocess.run([*GUARD, missing], capture_output=True, text=True, timeout=20)
    assert (answer.returncode, answer.stderr) == (127, f"{missing}: No such file or directory\n")


def test_nothing_is_started_when_the_supervisor_is_gone_already(tmp_path: Path) -> None:
    assert run_shell(f"touch {tmp_path}/started", BULLPEN_SUPERVISOR="1") == guard.NOT_STARTED
    assert list(tmp_path.iterdir()) == []


def test_a_signal_to_the_guard_reaches_the_cli() -> None:
    with start("/bin/sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 5


def test_what_outlives_the_cli_is_asked_to_end_and_then_made_to() -> None:
    script = "trap 'echo asked; exit' TERM; echo ready; while :; do sleep 0.05; done"
    with start("/bin/sh", "-c", f'(env -i setsid sh -c "{script}" &); head -1 >/dev/null; exit 3') as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        output, _ = process.communicate("\n", timeout=20)
    assert (process.returncode, output) == (3, "asked\n")


def test_a_guard_told_to_end_at_once_leaves_none_of_many_that_fork_all_the_time() -> None:
    chains = (
        "import os, signal, time\n"
        "if os.fork(): time.sleep(300)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(3): os.fork()\n"
        "os.write(1, b'.')\n"
        "while True:\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid()\n"
    )
    with start(sys.executable, "-I", "-S", "-c", chains) as process:
        assert process.stdout is not None
        assert process.stdout.read(8) == "........", "eight chains run"
        process.send_signal(guard.END_NOW)
        # All of them hold the output: it ends with the last.
        assert process.communicate(timeout=20)[0] == ""
        assert process.returncode == -signal.SIGKILL


def test_a_guard_that_is_killed_takes_the_cli_along() -> None:
    with start("/bin/sh", "-c", "echo ready; exec sleep 300") as process:
        assert process.stdout is not None
        process.stdout.readline()
        (cli,) = psutil.Process(process.pid).children()
        process.kill()
        until_sync(lambda: not is_alive(cli))
