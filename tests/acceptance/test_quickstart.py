"""The program in docs/quickstart.md is one that runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_quickstart_runs_as_it_is_printed(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/quickstart.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "quickstart.py").write_text(program, "utf-8")
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "quickstart.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=170
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Noted.")
    assert "My number is 4711." in run.stdout
    assert "helpdesk/ana/default idle 2 turns" in run.stdout
