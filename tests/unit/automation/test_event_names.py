"""One table names what hooks may hear, and everything else reads it."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

from supervisor.api import events
from supervisor.api.event_fields import COMMON, MEANINGS
from supervisor.api.event_names import BY_NAME, EVENT_NAMES, UNNAMED, EventName, names_of, sample_of
from supervisor.api.events import Event
from supervisor.config.automation import HookSettings
from supervisor.config.settings import load_settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/hooks.md").read_text("utf-8")


def test_every_event_of_the_engine_has_a_name_or_a_reason_why_not() -> None:
    kinds = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }
    named = {one.kind for one in EVENT_NAMES} - {None}
    assert kinds == named | UNNAMED.keys()
    assert not named & UNNAMED.keys()


@pytest.mark.parametrize("name", EVENT_NAMES, ids=lambda name: name.name)
def test_every_event_says_when_it_is_and_carries_every_id(name: EventName) -> None:
    """S1.21"""
    payload = sample_of(name, id="x")
    assert tuple(payload) == name.fields
    assert {"instance", "user", "session", "turn"} <= payload.keys()
    assert set(name.own_fields) <= MEANINGS.keys()
    assert payload["sample"] is True
    assert re.fullmatch(r"[a-z]+:[a-z-]+", name.name)
    assert name.says.endswith(".")
    assert name.kind is None or name in names_of(name.sample)


def test_no_field_is_explained_that_no_event_has() -> None:
    assert MEANINGS.keys() == {field for name in EVENT_NAMES for field in name.own_fields}
    assert not COMMON.keys() & MEANINGS.keys()


def test_the_page_about_hooks_has_the_tables_of_the_program() -> None:
    """`python scripts/make_hooks.py` writes them anew."""
    made = runpy.run_path(str(ROOT / "scripts/make_hooks.py"))
    assert made["fill"](PAGE) == PAGE
    assert all(table in PAGE for table in made["TABLES"].values())


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_of_settings_loads(example: str, tmp_path: Path) -> None:
    path = tmp_path / "bullpen.toml"
    path.write_text(example, "utf-8")
    settings = load_settings(path, environ={})
    assert len(settings.hooks) + len(settings.schedules) == sum(map(len, tomllib.loads(example).values())) - len(
        tomllib.loads(example).get("gateway", {})
    )


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_of_a_template_loads(example: str) -> None:
    for hook in yaml.load(example, yaml.BaseLoader)["hooks"]:
        assert HookSettings.model_validate(hook).on[0] in BY_NAME
