"""The options that every command takes, before or after its name, and the settings that follow from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from supervisor import Settings

TemplatesOption = Annotated[
    Path | None,
    typer.Option(
        "--templates", metavar="DIR", help="Folder of agent templates (*.md). Default: ./templates, else those shipped."
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings of this host. Default: ./bullpen.toml, if there is one."),
]
StateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Where workspaces, transcripts and logs are kept.")
]
RehearsalOption = Annotated[
    bool | None,
    typer.Option(
        "--rehearsal/--real",
        help="Real Claude Code processes over an embedded endpoint with scripted replies: no key, no network.",
    ),
]

ListenOption = Annotated[
    str,
    typer.Option(
        "--listen", metavar="HOST:PORT", help="Listen there too, for those with a token. The socket is always open."
    ),
]


@dataclass(frozen=True)
class Common:
    """The options that every command takes, before or after its name."""

    templates: Path | None = None
    config: Path | None = None
    state: Path | None = None
    rehearsal: bool | None = None
    listen: str = ""
    url: str = ""
    """Which bullpen is meant, where the option stands before the command; see `running_engine.where_of`."""
    token: str = ""

    def over(self, other: Common) -> Common:
        """These options; where one was not given here, the value of `other`."""
        return Common(
            self.templates or other.templates,
            self.config or other.config,
            self.state or other.state,
            other.rehearsal if self.rehearsal is None else self.rehearsal,
            self.listen or other.listen,
            self.url or other.url,
            self.token or other.token,
        )

    @property
    def overrides(self) -> dict[str, object]:
        """Settings that these options say, by their names."""
        given: dict[str, object] = {
            "templates_dir": self.templates,
            "state_dir": self.state,
            "rehearsal": self.rehearsal,
            "gateway": {"listen": self.listen} if self.listen else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def settings_of(common: Common) -> Settings:
    """Raises `ConfigurationError`."""
    from supervisor import load_settings

    return load_settings(common.config, environ=os.environ, **common.overrides)
