"""The unit of docs/systemd.md under a real systemd: a user's manager in namespaces of its own, which takes root."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.test_command_line import ROOT

SYSTEMD = Path("/lib/systemd/systemd")
ALONE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""With processes and a /run of its own: all of it is gone when it ends."""


def may_run() -> bool:
    if not (SYSTEMD.exists() and shutil.which("systemctl") and shutil.which("unshare")):
        return False
    script = "mount -t tmpfs tmpfs /run"
    return subprocess.run([*ALONE, "sh", "-c", script], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(not may_run(), reason="the unit is not tried: systemd cannot be run here"),
]

SCRIPT = """
set -u
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 HOME={home}
{systemd} --user --log-target=null --show-status=no </dev/null >/dev/null 2>&1 &
call() {{ timeout 60 systemctl --user "$@"; }}
show() {{ call show bullpen --property="$1" --value; }}
ask() {{ curl --silent --max-time 5 --unix-socket {socket} "http://bullpen$1"; }}
wait_for() {{
    for _ in $(seq 600); do [ "$(eval "$1")" = "$2" ] && return; sleep 0.1; done
    echo "not: $1 = $2"; exit 1
}}
wait_for 'call is-system-running' running
call start bullpen && echo "open when it has started: $(ask /healthz)"
echo "state: $(show ActiveState) $(show Type) $(show NRestarts)"
kill -9 "$(show MainPID)"
wait_for 'show NRestarts' 1
wait_for 'ask /readyz' '{{"status":"ready"}}'
echo "killed, and there again"
kill -STOP "$(show MainPID)"
wait_for 'show NRestarts' 2
wait_for 'ask /readyz' '{{"status":"ready"}}'
echo "stood still, and there again"
call stop bullpen
echo "stopped: $(show ActiveState) $(show Result) $(show ExecMainStatus)"
call start bullpen && echo "started again"
wait_for 'ask /readyz' '{{"status":"ready"}}'
call stop bullpen
echo "left: $(ls {state}/rehearsal/*.sock 2>/dev/null)"
"""


def test_the_unit_of_the_page_starts_watches_restarts_and_stops_it(tmp_path: Path) -> None:
    """D3"""
    (unit,) = re.findall(r"```ini\n(.*?)```", (ROOT / "docs/systemd.md").read_text("utf-8"), re.DOTALL)
    state = tmp_path / "state"
    command = f"{sys.executable} -m tui serve --rehearsal --state {state} --templates {ROOT / 'templates'}"
    unit = re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={command}\nWorkingDirectory={ROOT}\nTimeoutAbortSec=2", unit)
    # What only the system's manager has.
    unit = re.sub(r"(?m)^(User|StateDirectory\w*|EnvironmentFile|After|Wants)=.*\n", "", unit)
    unit = unit.replace("WatchdogSec=30", "WatchdogSec=4").replace("RestartSec=2", "RestartSec=0.2")
    home = tmp_path / "home"
    units = home / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "bullpen.service").write_text(unit)
    script = SCRIPT.format(home=home, systemd=SYSTEMD, socket=state / "rehearsal/bullpen.sock", state=state)
    done = subprocess.run([*ALONE, "bash", "-c", script], capture_output=True, text=True, timeout=170)
    assert done.stdout.splitlines() == [
        'open when it has started: {"status":"ok"}',
        "state: active notify 0",
        "killed, and there again",
        "stood still, and there again",
        "stopped: inactive success 0",
        "started again",
        "left: ",
    ], done.stderr


def test_the_unit_of_the_page_holds_nothing_that_systemd_does_not_know(tmp_path: Path) -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", (ROOT / "docs/systemd.md").read_text("utf-8"), re.DOTALL)
    path = tmp_path / "bullpen.service"
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit).replace("User=bullpen", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert "bullpen.service" not in done.stderr
