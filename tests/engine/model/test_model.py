"""Any order of everything that can happen: the laws of the pool hold.

`make test` tries a bounded number of examples, always the same; `make soak` looks for new ones.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine.model.machine import PoolModel


@pytest.mark.timeout(3_600)
def test_no_order_of_events_breaks_a_law_of_the_pool(search: settings, capsys: pytest.CaptureFixture[str]) -> None:
    """R1, R3, R4, S1.3, S1.14, S1.17, S2.4, S2.20, S3.13–16, S5.15, S5.17–23"""
    PoolModel.tally.clear()
    run_state_machine_as_test(PoolModel, settings=search)
    with capsys.disabled():
        print("", ", ".join(f"{count:,} {what}" for what, count in PoolModel.tally.items()))
