"""The examples of docs/providers.md load as they stand, and `bullpen route` works without a running bullpen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.testing

from supervisor.config.settings import load_settings
from supervisor.engine.doctor import _examine_providers
from tui.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/providers.md").read_text("utf-8")


def test_every_example_of_settings_loads(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    config = tmp_path / "bullpen.toml"
    config.write_text("\n".join(examples), "utf-8")
    settings = load_settings(config, environ={})
    assert {*settings.providers} == {"second", "aws", "default"}
    assert settings.budgets.user.tokens_per_day == 2_000_000


def test_the_doctor_says_what_is_wrong_with_a_provider_and_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S5.12"""
    config = tmp_path / "bullpen.toml"
    config.write_text(
        '[providers.good]\nbase_url = "https://a.example"\napi_key = "env:GOOD_KEY"\n'
        '[providers.bad]\napi_key = "file:nowhere"\n',
        "utf-8",
    )
    monkeypatch.setenv("GOOD_KEY", "sk-not-to-be-told")
    findings = {one.text.partition(":")[0]: one for one in _examine_providers(load_settings(config, environ={}))}
    assert findings["good"].is_good
    assert not findings["bad"].is_good
    assert "nowhere" in findings["bad"].text
    assert "sk-not-to-be-told" not in f"{findings}"


def test_a_route_is_told_where_no_bullpen_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S4.route"""
    monkeypatch.chdir(tmp_path)
    run = typer.testing.CliRunner().invoke
    shown = run(app, ["route", "My VPN is down", "--state", str(tmp_path / "state")])
    assert (shown.exit_code, shown.stdout.splitlines()[0]) == (0, "helpdesk")
    told = run(app, ["route", "My VPN is down", "--json", "--state", str(tmp_path / "state")])
    assert json.loads(told.stdout)["agent"] == "helpdesk"
