from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and so would be every program started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
