from __future__ import annotations

import pytest

from tests.isolation import isolate


def pytest_configure() -> None:
    isolate()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
