from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    # What runs in the background, or under `nohup`, ignores some signals, and so would every program started from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
