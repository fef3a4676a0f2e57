"""What can be set is documented, and what is documented can be set."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest

from supervisor.api.outcomes import FailureKind
from supervisor.config.budgets import BudgetSettings, Ceilings
from supervisor.config.environment import ELSEWHERE, INSTANCE_KEYS, OLDER_NAMES, OLDER_POOL_SIZE
from supervisor.config.front_matter import read_document
from supervisor.config.gateway import GatewaySettings
from supervisor.config.providers import ProviderSettings
from supervisor.config.routing import RoutingSettings
from supervisor.config.settings import Settings, load_settings
from supervisor.config.template import FrontMatter
from supervisor.config.templates import WITHOUT_EFFECT, schema_text, shipped_templates, template_schema
from supervisor.config.validation import is_table, section, spelled
from supervisor.rehearsal.directions import _READERS, Mistake, read_directions

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = (ROOT / "docs/templates.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")


def keys_in(text: str) -> set[str]:
    """The first cells of its tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def keys_of_templates() -> set[str]:
    keys = set()
    for name in FrontMatter.model_fields:
        key = spelled(name, FrontMatter)
        inner = section(FrontMatter, name)
        keys |= {key} | ({f"{key}.{spelled(one, inner)}" for one in inner.model_fields} if inner else set())
    return keys


def test_every_direction_of_the_rehearsal_is_documented_and_every_documented_one_can_be_read() -> None:
    examples = [cell.replace("\\|", "|") for cell in keys_in((ROOT / "docs/rehearsal.md").read_text("utf-8"))]
    read = [direction for example in examples for direction in read_directions(example).directions]
    assert not [direction for direction in read if isinstance(direction, Mistake)]
    assert {re.sub(r"\W*([a-z]+).*", r"\1", example) for example in examples} == set(_READERS)


def test_every_kind_of_failure_is_explained() -> None:
    text = (ROOT / "docs/http.md").read_text("utf-8")
    table = text.split("| kind | what happened |")[1].split("\n\n")[0]
    explained = {
        kind for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for kind in re.findall(r"`([a-z-]+)`", row)
    }
    assert explained == {kind.value for kind in FailureKind}


def variables_in(text: str) -> dict[str, str]:
    return dict(re.findall(r"^#([A-Z_]+)=([^\s#]*)", text, re.MULTILINE))


def test_every_key_of_a_template_is_documented_and_no_other() -> None:
    assert keys_in(TEMPLATES) == keys_of_templates()
    assert keys_in(TEMPLATES.split("without effect here")[1]) == set(WITHOUT_EFFECT)


def test_every_setting_and_variable_is_documented_and_no_other() -> None:
    instance = {f"BULLPEN_HELPDESK_{suffix}" for suffix in INSTANCE_KEYS}
    others = {*ELSEWHERE, *OLDER_NAMES, f"HELPDESK{OLDER_POOL_SIZE}"}

    tables = {*GatewaySettings.model_fields, *RoutingSettings.model_fields, *BudgetSettings.model_fields}
    tables |= {*Ceilings.model_fields, *ProviderSettings.model_fields}
    assert keys_in(CONFIGURATION) == {*Settings.model_fields, *tables, *instance, *others}
    for suffix, location in INSTANCE_KEYS.items():
        assert f"| `BULLPEN_HELPDESK_{suffix}` | `{'.'.join(location)}` |" in CONFIGURATION


def test_the_example_settings_load_and_show_every_key(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", CONFIGURATION, re.DOTALL)
    path = tmp_path / "bullpen.toml"
    path.write_text(example, "utf-8")

    settings = load_settings(path, environ={})

    assert settings.model_fields_set == set(Settings.model_fields)
    assert settings.instances["helpdesk"].concurrency.max_sessions == 5


def test_the_example_environment_holds_every_variable_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2.27."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bullpen.toml").touch()
    variables = variables_in(EXAMPLE)

    settings = load_settings(environ=variables)

    tables = {"hooks", "schedules"}
    host = {name for name in Settings.model_fields if not is_table(Settings, name)} - tables
    assert settings.model_fields_set == {*host, "instances"} - {"gateway", "routing", "budgets"}
    documented = {name for name in keys_in(CONFIGURATION) if name.isupper()} - {*ELSEWHERE}
    assert documented <= variables.keys()


def test_no_variable_can_be_read_as_two() -> None:
    """The host's `max_wait` and an instance's are told apart by the name before it, whatever an instance is called."""
    for suffix in INSTANCE_KEYS:
        assert not any(other.endswith(f"_{suffix}") for other in INSTANCE_KEYS)
        assert not any(name.upper().endswith(f"_{suffix}") for name in Settings.model_fields)


def test_the_published_schema_is_current() -> None:
    """S1.13. `python scripts/make_schema.py` writes it anew."""
    assert (ROOT / "docs/template.schema.json").read_text("utf-8") == schema_text()


def test_the_published_schema_accepts_the_shipped_templates_and_refuses_what_loading_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    validator.check_schema(template_schema())

    for path in shipped_templates().glob("*.md"):
        validator.validate(read_document(path).data)
    plain = {"name": "a", "description": "d"}
    for wrong in ({"maxConcurrentSessions": 3}, {"maxTurns": 0}, {"turnTimeout": "soon"}, {"name": "-b"}):
        assert not validator.is_valid({**plain, **wrong}), wrong
    for amount in ("800MiB", "1.5 gb", "10%", "none", 2**30):
        assert validator.is_valid({**plain, "pool": {"softMemory": amount}}), amount
    for wrong_amount in ("lots", "8 GiBi", 800, 1.5):
        assert not validator.is_valid({**plain, "pool": {"softMemory": wrong_amount}}), wrong_amount
    assert validator.is_valid({**plain, "turnTimeout": "none", "tools": "Read, Write", "pool": {"idleTtl": "5m"}})


def test_the_requirements_name_the_tests_that_cite_them() -> None:
    """Made by scripts/make_requirements.py."""
    page = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    script = runpy.run_path(str(ROOT / "scripts" / "make_requirements.py"))
    assert script["fill"](page) == page


def test_the_picture_of_memory_shows_what_was_measured() -> None:
    """`python scripts/make_memory_picture.py` draws it anew."""
    script = runpy.run_path(str(ROOT / "scripts/make_memory_picture.py"))
    assert len(script["read"]()) == len(script["SHOWN"])
    assert script["TARGET"].read_text("utf-8") == script["draw"]()


def test_the_picture_of_the_rooms_is_current() -> None:
    """`python scripts/make_architecture.py` draws it anew from the import contracts."""
    script = runpy.run_path(str(ROOT / "scripts/make_architecture.py"))
    assert script["TARGET"].read_text("utf-8") == script["draw"]()


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:supervisor|tui|\w+)/[\w/]+\.py)`", text)
    assert len(named) > 20
    assert [one for one in named if not (ROOT / one).exists() and not (ROOT / "supervisor" / one).exists()] == []
