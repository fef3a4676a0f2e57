"""Endpoints that clients may talk to: `[providers.NAME]` in `bullpen.toml`. Of a secret it says only where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from supervisor.api.errors import InvalidPrompt
from supervisor.config.client_variables import resolve
from supervisor.config.field_types import OF_BULLPEN, VARIABLE
from supervisor.config.validation import Location, nearest
from supervisor.text.cleaning import show_name

HOST = "default"
"""The provider of prompts and templates that name none: `[providers.default]`, or what bullpen was started with."""
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@\[\]-]{0,199}")
_SECRET = re.compile(r"\w*(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|HEADER|AUTH)\w*", re.IGNORECASE)
_CREDENTIALS = re.compile(r"ANTHROPIC_(API_KEY|AUTH_TOKEN)|CLAUDE_CODE_OAUTH_TOKEN|CLAUDE_CODE_USE_\w+")
LONGEST_CHAIN = 5
"""Providers that stand in for one another, at most."""


def _reference(value: object) -> object:
    # No word of the value in the sentence: it may be the secret itself.
    if isinstance(value, str) and re.fullmatch(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)", value, re.DOTALL):
        return value
    raise ValueError(
        "must say where the secret is, and never be the secret itself: env:NAME for a variable of bullpen, or file:PATH"
    )


def _address(value: object) -> object:
    wrong = ValueError("must be the address of an API, such as https://gateway.example, without a name or a password")
    if not isinstance(value, str):
        raise wrong
    try:
        found = urlsplit(value.strip())
        is_good = bool(found.hostname) and found.scheme in ("http", "https") and found.port != 0
    except ValueError:
        raise wrong from None
    if not is_good or found.username is not None or found.query or found.fragment or not value.isprintable():
        raise wrong
    return value.strip().rstrip("/")


def _variables(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of variables to values")
    for name, text in value.items():
        if not VARIABLE.fullmatch(str(name)) or OF_BULLPEN.fullmatch(str(name)):
            raise ValueError(
                f"cannot set {show_name(str(name)[:60])}: bullpen says what it is, or it is no variable's name"
            )
        if not isinstance(text, str | int) or isinstance(text, bool) or "\0" in str(text):
            raise ValueError(f"{name} must be text or a number")
        is_path = str(text).startswith(("/", "~"))
        if _SECRET.fullmatch(name) and not str(text).startswith(("env:", "file:")) and not is_path and str(text) != "1":
            raise ValueError(
                f"{name} must say where the secret is, and never be the secret itself: env:NAME, or file:PATH"
            )
    return {name: str(text) for name, text in value.items()}


def _models(value: object) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        value = {name: name for name in value if isinstance(name, str)}
    if not isinstance(value, dict) or not value:
        raise ValueError("must be a list of models, or a mapping of names to models")
    for pair in value.items():
        for one in pair:
            if not (isinstance(one, str) and MODEL.fullmatch(one)):
                raise ValueError("must hold names of models: letters, digits and _ . : / @ [ ] -")
    return value


def _name(value: object) -> object:
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise ValueError("must be the name of a provider: lowercase letters, digits and _ . -")


def _model_list(value: object) -> object:
    if isinstance(value, str) and all(MODEL.fullmatch(part.strip()) for part in value.split(",")):
        return value
    raise ValueError("must be a model, or several with commas in between")


Reference = Annotated[str, BeforeValidator(_reference)]


class ProviderSettings(BaseModel):
    """Any endpoint that speaks Anthropic's API, Bedrock, Vertex, a gateway."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    base_url: Annotated[str, BeforeValidator(_address)] = Field(
        default="", description="Where its API is. Default: Anthropic's."
    )
    api_key: Reference | None = Field(
        default=None, description="Where its key is: `env:NAME` or `file:PATH`. Never the key itself."
    )
    auth_token: Reference | None = Field(
        default=None, description="The same for a bearer token, which many gateways take instead of a key."
    )
    env: Annotated[dict[str, str], BeforeValidator(_variables)] = Field(
        default_factory=dict,
        description="More variables for its clients, such as `CLAUDE_CODE_USE_BEDROCK`; secrets as `env:NAME` or "
        "`file:PATH`.",
    )
    models: Annotated[dict[str, str], BeforeValidator(_models)] | None = Field(
        default=None,
        description="Models that may be asked for: a list, or a mapping of names to models. Default: any.",
    )
    fallback: Annotated[str, BeforeValidator(_name)] | None = Field(
        default=None, description="The provider that turns go to while this one is parked. Default: none, they wait."
    )
    fallback_model: Annotated[str, BeforeValidator(_model_list)] | None = Field(
        default=None,
        description="Models of this provider to use while the main one is overloaded, or its limit is reached. "
        "Default: none.",
    )

    @property
    def is_own(self) -> bool:
        """Whether clients of this provider talk to another address than those of the host, or with other
        credentials."""
        return bool(self.base_url or self.api_key or self.auth_token or self.env)


class Provider(NamedTuple):
    """A provider that clients can be started for: references in its settings have been followed."""

    name: str
    settings: ProviderSettings = ProviderSettings.model_construct()
    environment: Mapping[str, str] = {}
    """Its secrets are in there: never shown, logged or compared but by digest."""
    mistake: str = ""
    """Why no client can be started for it, in words; empty when one can."""

    def __repr__(self) -> str:
        return f"<Provider {self.name}>"

    def model(self, asked: str) -> str:
        """The provider's name for a model; empty when none is asked for, or the provider does not have it."""
        if self.settings.models is None:
            return asked
        return self.settings.models.get(asked, asked if asked in self.settings.models.values() else "")


def read_provider(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> Provider:
    """The provider with its references followed. What cannot be followed is told by the name of its key."""
    wanted = dict(settings.env)
    if settings.base_url:
        wanted["ANTHROPIC_BASE_URL"] = settings.base_url
    if settings.api_key is not None:
        wanted["ANTHROPIC_API_KEY"] = settings.api_key
    if settings.auth_token is not None:
        wanted["ANTHROPIC_AUTH_TOKEN"] = settings.auth_token
    found, wrong = resolve(wanted, Path(), environ)
    spelled = {"ANTHROPIC_API_KEY": "api_key", "ANTHROPIC_AUTH_TOKEN": "auth_token"}
    mistakes = [f"{spelled.get(variable, f'env.{variable}')} {sentence}" for variable, sentence in wrong.items()]
    mistakes += [f"{spelled.get(one, f'env.{one}')} is empty" for one, text in found.items() if not text.strip()]
    if settings.base_url and not any(_CREDENTIALS.fullmatch(one) for one in wanted):
        mistakes.append("base_url needs api_key or auth_token: else the login of this host would be sent there")
    return Provider(name, settings, found, "; ".join(mistakes))


class Providers:
    """All providers that a prompt, a session or a template may name. Their references are followed once."""

    def __init__(
        self, settings: Mapping[str, ProviderSettings], environ: Mapping[str, str], *, rehearses: bool
    ) -> None:
        """In rehearsal no client talks to a provider, so no secret is looked for."""
        self.rehearses = rehearses
        read = {
            name: Provider(name, one) if rehearses else read_provider(name, one, environ)
            for name, one in settings.items()
        }
        self._all = {HOST: Provider(HOST)} | read

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._all.values())

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def get(self, name: str) -> Provider:
        return self._all[name or HOST]

    def check(self, provider: str, model: str, own: str = HOST) -> None:
        """Whether a prompt may ask for that; `own` is what it gets when it names no provider. Raises
        `InvalidPrompt`, with the valid names."""
        if provider and provider not in self._all:
            raise InvalidPrompt(f"no provider {show_name(provider[:60])}; there are: {', '.join(sorted(self._all))}")
        found = self.get(provider or own)
        if found.mistake:
            raise InvalidPrompt(f"provider {found.name} cannot be used: {found.mistake}")
        if not model:
            return
        if not MODEL.fullmatch(model):
            raise InvalidPrompt(f"no model is called {show_name(model[:60])}: letters, digits and _ . : / @ [ ] -")
        if not found.model(model):
            names = ", ".join(found.settings.models or ())
            raise InvalidPrompt(f"provider {found.name} has no model {show_name(model)}; there are: {names}")

    def chain(self, name: str) -> Iterator[Provider]:
        """The provider, and those that stand in for it, in order."""
        seen: list[str] = []
        current: str | None = name or HOST
        while current is not None and current in self._all and current not in seen and len(seen) < LONGEST_CHAIN:
            seen.append(current)
            yield self._all[current]
            current = self._all[current].settings.fallback


def provider_mistakes(settings: Mapping[str, ProviderSettings]) -> Iterator[tuple[Location, str]]:
    """Mistakes in the names and fallbacks of providers: the key, and a sentence about it."""
    names = {HOST, *settings}
    for name, one in settings.items():
        if not NAME.fullmatch(name):
            yield (
                ("providers", name),
                f"providers.{show_name(name[:60])}: a provider is named by lowercase letters, digits and _ . -",
            )
        if one.fallback == name:
            yield ("providers", name, "fallback"), f"providers.{name}.fallback names itself"
        elif one.fallback is not None and one.fallback not in names:
            near = nearest(one.fallback, dict.fromkeys(names))
            remedy = f"did you mean {near}?" if near else f"there are {', '.join(sorted(names))}"
            sentence = f"providers.{name}.fallback: there is no provider {one.fallback}; {remedy}"
            yield ("providers", name, "fallback"), sentence
