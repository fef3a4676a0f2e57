from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from supervisor.clock import Clock
from supervisor.config.settings import Settings
from supervisor.config.templates import Template
from supervisor.engine.supervisor import Supervisor
from supervisor.testing import FakeWorld

MakeTemplate = Callable[..., Template]
Start = Callable[..., AbstractAsyncContextManager[Supervisor]]


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def make_template(tmp_path: Path) -> MakeTemplate:
    def make(name: str = "desk", **keys: object) -> Template:
        return Template.model_validate(
            {"name": name, "description": "a test agent", "system_prompt": "Help.", "path": tmp_path / f"{name}.md"}
            | keys
        )

    return make


@pytest.fixture
def start(world: FakeWorld, make_template: MakeTemplate, tmp_path: Path) -> Start:
    """`async with start(template, ...)`: a supervisor over the fake world; without templates, a service of two."""

    def begin(
        *templates: Template, clock: Clock | None = None, keeps_queue: bool = True, **host: object
    ) -> AbstractAsyncContextManager[Supervisor]:
        chosen = templates or (make_template(concurrency={"maxSessions": 2}, pool={"spares": 0}),)
        settings = Settings.model_validate({"state_dir": tmp_path / "state", "cleanup_interval": 0.01} | host)
        return Supervisor(chosen, settings, connect=world.connect, clock=clock, keeps_queue=keeps_queue)

    return begin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "deep" / "state"
