"""The two clocks of the engine, in one place so that tests can turn them."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Both times; a test turns them."""

    wall: Callable[[], float] = time.time
    """Unix seconds: what people and records are shown."""
    steady: Callable[[], float] = time.monotonic
    """Seconds that never jump: what decisions are made with."""
