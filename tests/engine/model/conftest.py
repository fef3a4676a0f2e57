"""How long the model searches: a fixed handful of examples, or new ones with `pytest --hypothesis-profile=soak`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

_ANY_SPEED = {"deadline": None, "suppress_health_check": list(HealthCheck)}

# One breach at a time: the file holds the order of one.
settings.register_profile("soak", max_examples=1_500, stateful_step_count=50, report_multiple_bugs=False, **_ANY_SPEED)
settings.register_profile(
    "handful",
    max_examples=40,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    # Told at once, not made smaller first: that takes minutes, and the soak does it.
    phases=(Phase.explicit, Phase.generate),
    **_ANY_SPEED,
)


@pytest.fixture
def search() -> settings:
    return settings.get_profile("soak" if settings.get_current_profile_name() == "soak" else "handful")
