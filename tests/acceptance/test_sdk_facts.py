"""The quick half of `make probes`: what bullpen is built on is still so with the SDK and CLI that are installed.

Both are pinned: `make soak` asks them, as `make probes` does when there is a new one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.rehearsal import Rehearsal
from tests.probes.__main__ import LIMIT, PACE, examine, line
from tests.probes.bench import Bench
from tests.probes.probe import PROBES, Finding, Probe

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.exhaustive
@pytest.mark.anyio
@pytest.mark.parametrize("probe", [probe for probe in PROBES if probe.is_quick], ids=lambda probe: probe.name)
async def test_a_fact_that_bullpen_is_built_on_is_still_so(probe: Probe, tmp_path: Path) -> None:
    async with Rehearsal(pace=PACE, keep=1_000) as rehearsal:
        finding = await examine(probe, rehearsal, tmp_path / probe.name)
    assert finding.found == probe.expected


@pytest.mark.exhaustive
@pytest.mark.anyio
async def test_a_probe_that_fails_or_hangs_is_a_finding_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.probes.__main__.LIMIT", 3.0)
    benches: list[Bench] = []

    async def hang(bench: Bench) -> str:
        benches.append(bench)
        async with bench.talker() as talker:
            await talker.turn("[[stall]]")
        return "an answer"

    async def fail(bench: Bench) -> str:
        raise ValueError("no such thing")

    async with Rehearsal(pace=PACE) as rehearsal:
        hung = await examine(Probe("hang", "does it hang", "no", hang), rehearsal, tmp_path / "hang")
        failed = await examine(Probe("fail", "does it fail", "no", fail), rehearsal, tmp_path / "fail")

    assert hung.found == "nothing within 3 s"
    assert hung.seconds < LIMIT
    assert failed.found == "ValueError: no such thing"
    assert not benches[0].processes()


def test_what_has_changed_stands_out() -> None:
    async def look(bench: Bench) -> str:
        return "no"

    probe = Probe("sky", "is it blue", "yes", look)
    assert line(Finding(probe, "yes", 1.0)).startswith("same")
    changed = line(Finding(probe, "no, green", 1.0))
    assert changed.startswith("CHANGED")
    assert "no, green" in changed


def test_the_probes_are_named_once_and_can_be_listed() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tests.probes", "--list"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    names = [text.split()[0] for text in listed.stdout.splitlines()]
    assert names == [probe.name for probe in PROBES]
    assert len(set(names)) == len(names) > 20
