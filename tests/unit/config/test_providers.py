"""`[providers.NAME]`: what may stand there, that no secret does, and that none is ever told."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.api.errors import ConfigurationError, InvalidPrompt
from supervisor.claude.options import CompiledOptions, compile_options, serve
from supervisor.config.loading import load_for
from supervisor.config.providers import HOST, Providers, ProviderSettings, read_provider
from supervisor.config.settings import Settings, load_settings
from supervisor.config.templates import Template

SECRET = "sk-ant-api03-do-not-tell"


def load(tmp_path: Path, *lines: str) -> Settings:
    config = tmp_path / "bullpen.toml"
    config.write_text("\n".join(lines), "utf-8")
    return load_settings(config, environ={})


def mistakes(tmp_path: Path, *lines: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, *lines)
    return raised.value.mistakes


def test_the_example_of_the_issue_is_read(tmp_path: Path) -> None:
    """S5.12"""
    settings = load(
        tmp_path,
        "[providers.second]",
        'base_url = "https://gateway.example/"',
        'api_key = "env:SECOND_KEY"',
        'env = { CLAUDE_CODE_USE_BEDROCK = "1" }',
        'fallback = "default"',
        "[providers.third]",
        'api_key = "file:keys/third"',
        "models = ['opus', 'haiku']",
    )
    second, third = settings.providers["second"], settings.providers["third"]
    assert (second.base_url, second.api_key, second.fallback) == (
        "https://gateway.example",
        "env:SECOND_KEY",
        "default",
    )
    assert third.api_key == f"file:{tmp_path}/keys/third", "from the folder of the settings"
    assert third.models == {"opus": "opus", "haiku": "haiku"}


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{SECRET}"',
        f'auth_token = "{SECRET}"',
        f'api_key = ["{SECRET}"]',
        f'env = {{ ANTHROPIC_API_KEY = "{SECRET}" }}',
        f'env = {{ AWS_SECRET_ACCESS_KEY = "{SECRET}" }}',
        f'env = {{ GATEWAY_PASSWORD = ["{SECRET}"] }}',
        f'base_url = "https://user:{SECRET}@gateway.example"',
        f'base_url = "https://gateway.example/?key={SECRET}"',
        f'base_url = ["{SECRET}"]',
        f'models = "{SECRET} {SECRET}"',
        f'fallback = "{SECRET} "',
    ],
)
def test_a_literal_secret_is_refused_with_the_remedy_and_never_told(tmp_path: Path, line: str) -> None:
    [told] = mistakes(tmp_path, "[providers.second]", line)
    assert SECRET not in told
    assert told.startswith("bullpen.toml:2: providers.second.")
    if "api_key" in line or "auth_token" in line or "KEY" in line:
        assert "env:NAME" in told
        assert "file:PATH" in told


def test_what_hangs_together_wrongly_is_told(tmp_path: Path) -> None:
    lines = ["[providers.second]", 'api_key = "env:K"', 'fallback = "seccond"', '[providers."Wrong Name"]']
    assert mistakes(tmp_path, *lines) == [
        "bullpen.toml:3: providers.second.fallback: there is no provider seccond; did you mean second?",
        "bullpen.toml:4: providers.Wrong Name: a provider is named by lowercase letters, digits and _ . -",
    ]
    assert mistakes(tmp_path, "[providers.second]", 'fallback = "second"') == [
        "bullpen.toml:2: providers.second.fallback names itself"
    ]


def test_a_template_with_a_provider_that_cannot_be_used_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    for name, provider in (("good", ""), ("far", "provider: secnd"), ("poor", "provider: second")):
        (tmp_path / f"{name}.md").write_text(f"---\nname: {name}\ndescription: d\n{provider}\n---\nHi.\n", "utf-8")
    settings = load(tmp_path, "[providers.second]", 'api_key = "env:NO_SUCH_KEY"').model_copy(
        update={"templates_dir": tmp_path}
    )
    loaded = load_for(settings)
    assert [template.name for template in loaded.templates] == ["good"]
    assert any("provider secnd is not known; did you mean second?" in line for line in loaded.left_out)
    assert any("second cannot be used: api_key names the variable NO_SUCH_KEY" in line for line in loaded.left_out)


def test_the_login_of_the_host_is_sent_to_no_other_address() -> None:
    """Without credentials of its own an endpoint would get those of the host."""
    found = read_provider("second", ProviderSettings(base_url="https://gateway.example"), {})
    assert found.mistake == "base_url needs api_key or auth_token: else the login of this host would be sent there"


def options(tmp_path: Path, **keys: object) -> CompiledOptions:
    variables = {"CLAUDE_CONFIG_DIR": "/c", "ANTHROPIC_API_KEY": "of-the-host", "ANTHROPIC_BASE_URL": "http://host"}
    written = {"name": "desk", "description": "d", "system_prompt": "p", "path": tmp_path / "desk.md"}
    template = Template.model_validate(written | keys)
    return compile_options(template, Settings(), variables, environ={"K": "own-key"})


def test_a_client_of_a_provider_has_its_credentials_and_none_of_the_hosts(tmp_path: Path) -> None:
    """S5.12"""
    written = {"second": ProviderSettings(base_url="http://second", api_key="env:K", env={"GATEWAY_TOKEN": "env:K"})}
    providers = Providers(written, {"K": "second-key"}, rehearses=False)
    base = options(tmp_path, model="haiku", env={"ANTHROPIC_AUTH_TOKEN": "env:K", "OTHER": "x"})
    served = serve(base, providers.get("second"), "", rehearses=False)
    assert served.environment["ANTHROPIC_API_KEY"] == "second-key"
    assert served.environment["ANTHROPIC_BASE_URL"] == "http://second"
    assert served.environment["CLAUDE_CONFIG_DIR"] == "/c"
    assert served.environment["OTHER"] == "x"
    assert "ANTHROPIC_AUTH_TOKEN" not in served.environment
    assert served.hidden
    assert "GATEWAY_TOKEN" in served.secrets
    assert "second-key" not in f"{served!r}{providers.get('second')!r}{written['second']!r}"
    assert served.arguments["model"] == "haiku"
    plain = serve(base, providers.get(HOST), "", rehearses=False)
    assert plain.environment == base.environment
    assert plain.digest == base.digest
    rehearsed = serve(base, providers.get("second"), "", rehearses=True)
    assert rehearsed.environment == base.environment, "in rehearsal there is one endpoint"
    assert len({served.digest, base.digest, serve(base, providers.get(HOST), "opus", rehearses=False).digest}) == 3


def test_a_model_is_called_there_as_the_provider_calls_it(tmp_path: Path) -> None:
    written = {"second": ProviderSettings(models={"haiku": "vendor/haiku-4"}, fallback_model="vendor/small")}
    providers = Providers(written, {}, rehearses=False)
    served = serve(options(tmp_path, model="haiku"), providers.get("second"), "", rehearses=False)
    assert served.arguments["model"] == "vendor/haiku-4"
    assert served.arguments["fallback_model"] == "vendor/small"
    unknown = serve(options(tmp_path, model="opus"), providers.get("second"), "", rehearses=False)
    assert "model" not in unknown.arguments, "the provider chooses"
    providers.check("second", "vendor/haiku-4")
    with pytest.raises(InvalidPrompt, match="provider second has no model opus; there are: haiku"):
        providers.check("second", "opus")


def test_those_that_stand_in_are_tried_in_order_and_none_twice() -> None:
    written = {
        "a": ProviderSettings(fallback="b"),
        "b": ProviderSettings(fallback="c"),
        "c": ProviderSettings(fallback="a"),
    }
    providers = Providers(written, {}, rehearses=False)
    assert [one.name for one in providers.chain("b")] == ["b", "c", "a"]
    assert [one.name for one in providers.chain(HOST)] == [HOST]
