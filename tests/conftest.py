from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from supervisor.process.host_memory import HostMemory
from tests.control_groups import cgroup_base as cgroup_base
from tests.isolation import isolate
from tests.opened_files import opened as opened
from tests.swap import swap as swap

HERE = Path(__file__).parent
MARKS = {
    "unit": pytest.mark.unit,
    "engine": pytest.mark.engine,
    "gateway": pytest.mark.door,
    "tui": pytest.mark.screen,
    "acceptance": pytest.mark.real,
}
"""What a test needs follows from its folder."""

# What a test takes is the machine's business: it is shared by all tests, and by whatever else runs there.
# The same examples each time: what was seen green stays so until the code changes. `make soak` looks at new ones.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _ANY_SPEED, derandomize=True)
settings.register_profile("explore", _ANY_SPEED)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("here", "far"),
        default="here",
        help="far: every test of the screen runs over an engine at the end of a slow line (tests/far_engine.py)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "far: runs a second time, over an engine at the end of a slow line")
    isolate()
    gc.disable()  # on again when all tests are imported: nothing of what is imported is garbage


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(MARKS[item.path.relative_to(HERE).parts[0]])
    if "exhaustive" not in config.option.markexpr:
        left_out = [item for item in items if "exhaustive" in item.keywords]
        items[:] = [item for item in items if "exhaustive" not in item.keywords]
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Looks for garbage more rarely, as the program does (`supervisor/engine/interpreter.py`), and never at what is
    imported and collected by now: with Python's own thresholds that was a quarter of a screen's test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True)
def _no_memory_is_handed_back(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many clients there may be, and for how long, depends on that: on this machine it changes while tests run, as
    some of them make swap."""
    if "unit" not in request.keywords and "swap" not in request.fixturenames:
        monkeypatch.setattr("supervisor.engine.runtime.look_at_host", HostMemory)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
