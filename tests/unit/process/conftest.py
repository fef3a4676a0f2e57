from __future__ import annotations

import pytest

from supervisor.process import suspension
from supervisor.recovery import orphans


@pytest.fixture(autouse=True)
def _a_busy_machine_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree stops, or ends, in milliseconds, unless other tests use the processors."""
    monkeypatch.setattr(suspension, "WITHIN", 60.0)
    monkeypatch.setattr(orphans, "KILL_WITHIN", 60.0)
