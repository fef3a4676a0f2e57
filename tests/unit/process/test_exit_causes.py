from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.errors import ClientDied, ConnectFailed, ResumeTargetMissing
from supervisor.api.outcomes import FailureKind
from supervisor.process.end_reason import EndReason
from supervisor.process.exit_causes import LATELY, OomWatch, classify

CASES = [
    (EndReason.DIED, ClientDied("x", exit_code=-9), True, False, FailureKind.CRASHED),
    (EndReason.DIED, ClientDied("x", exit_code=-9), False, False, FailureKind.CRASHED_IDLE),
    (EndReason.DIED, ClientDied("x", exit_code=-9), True, True, FailureKind.OUT_OF_MEMORY),
    (EndReason.DIED, ClientDied("x", exit_code=137), False, True, FailureKind.OUT_OF_MEMORY),
    (EndReason.DIED, ClientDied("x", exit_code=1), True, True, FailureKind.CRASHED),
    (EndReason.DIED, ClientDied("JavaScript heap out of memory", exit_code=1), True, False, FailureKind.OUT_OF_MEMORY),
    (EndReason.DIED, ClientDied("x", oversize=True), True, True, FailureKind.OVERSIZE_MESSAGE),
    (EndReason.UNRESPONSIVE, None, True, False, FailureKind.STALLED),
    (EndReason.PANIC, None, True, False, FailureKind.OUT_OF_MEMORY),
    (EndReason.KILLED, None, True, False, FailureKind.KILLED),
    (EndReason.START_FAILED, ConnectFailed("exit 1"), False, False, FailureKind.START_FAILED),
    (EndReason.START_FAILED, ConnectFailed("Invalid API key"), False, False, FailureKind.AUTHENTICATION),
    (EndReason.START_FAILED, ResumeTargetMissing("gone"), False, False, FailureKind.RESUME_TARGET_MISSING),
]


@pytest.mark.parametrize(("reason", "error", "was_running", "oom", "kind"), CASES)
def test_every_bad_end_has_a_kind(
    reason: EndReason, error: Exception | None, was_running: bool, oom: bool, kind: FailureKind
) -> None:
    """S1.18"""
    assert classify(reason, error, was_running=was_running, was_out_of_memory=oom) is kind


@pytest.mark.parametrize(
    "reason",
    [EndReason.EVICTED, EndReason.HIBERNATED, EndReason.CLOSED, EndReason.STRAY, EndReason.IDLE, EndReason.STOPPING],
)
def test_an_end_in_order_has_none(reason: EndReason) -> None:
    assert classify(reason, None, was_running=False, was_out_of_memory=True) is None


def test_the_kernels_strikes_are_noticed_and_old_ones_are_not(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 12\noom_kill 3\n")
    watch = OomWatch(vmstat)
    assert not watch.has_struck_lately(0.0)
    vmstat.write_text("nr_free_pages 12\noom_kill 4\n")
    watch.look(1.0)
    assert watch.has_struck_lately(1.0 + LATELY)
    assert not watch.has_struck_lately(1.1 + LATELY)
    assert not OomWatch(tmp_path / "missing").has_struck_lately(0.0)
