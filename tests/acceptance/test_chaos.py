"""The short form of `make chaos`: nothing lost, nobody mixed up, whatever is killed, stopped or refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = ("lost", "duplicated", "leaked processes", "transcripts that disagree with the journal")


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_leaked_or_mixed_up_when_everything_fails(tmp_path: Path) -> None:
    """R1, R2, R3, R4, S2.37-46: real CLIs, a failing endpoint, leaving readers, a supervisor that is killed
    and one that is told to end by signals."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--quick", "--seed", "7", "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    figures = dict(re.findall(r"^(\S.*?)  +(\d+)", done.stdout, re.MULTILINE))
    assert {name: figures.get(name) for name in FIGURES} == dict.fromkeys(FIGURES, "0"), said
    assert int(figures["accepted"]) >= 8, said
    assert int(figures["done"]) >= 1, said
    assert "1 supervisors killed, 1 supervisors signalled" in done.stdout, said
    assert "templates edited" in done.stdout, said
