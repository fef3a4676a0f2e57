"""Makes the connectors that start clients: each with the options that were compiled for its template."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from supervisor.api.errors import ConfigurationError
from supervisor.claude.contexts import ContextStore
from supervisor.claude.options import CompiledOptions, compile_options, serve
from supervisor.config.providers import HOST
from supervisor.config.restrictions import missing_skills, skills_looked_in
from supervisor.config.settings import Settings, providers_of
from supervisor.config.skills import find_skills, gather_skills
from supervisor.config.template import Template
from supervisor.config.template_sources import find_sources
from supervisor.process.cgroups import open_cgroups
from supervisor.process.connection import Connector
from supervisor.process.executable import wrap_cli, wrap_tools
from supervisor.tools.registry import Tools

_log = logging.getLogger(__name__)

MakeConnector = Callable[[Template], Connector]


def bundled_cli(
    settings: Settings, environment: Mapping[str, str], tools: Tools, contexts: ContextStore
) -> MakeConnector:
    """Makes connectors to the CLI that comes with the SDK, with `environment` on top of the inherited one. What is
    compiled for them is kept in `contexts`."""

    # Written once, before anything is started: a script that is open for writing cannot be run.
    cli, shell = wrap_cli(settings.state_dir), wrap_tools(settings.state_dir)
    cgroups = open_cgroups()

    providers = providers_of(settings)

    def serving(options: CompiledOptions, provider: str, model: str) -> CompiledOptions:
        return serve(options, providers.get(provider), model, rehearses=settings.rehearsal)

    def compile_now(template: Template) -> CompiledOptions:
        skills = _gather(template, settings, environment)
        options = compile_options(template, settings, environment, skills=skills, tools=tools.prepare(template))
        return serving(options, template.provider or HOST, "")

    def make(template: Template) -> Connector:
        from supervisor.claude.installation import Installation
        from supervisor.claude.sdk_connection import SdkConnector

        sources = find_sources(template, environment)
        context = contexts.prepare(template, compile_now, sources)
        use = partial(contexts.use, template, compile_now, sources, context.version)
        installation = Installation(settings.state_dir, cli, shell, cgroups)

        def vary(provider: str, model: str) -> Connector:
            return SdkConnector(serving(context.options, provider, model), installation, use, vary)

        return SdkConnector(context.options, installation, use, vary)

    return make


def _gather(template: Template, settings: Settings, environment: Mapping[str, str]) -> Path | None:
    found, _ = find_skills(template.skills, skills_looked_in(template, environment))
    for line in missing_skills(template, environment):
        _log.warning("%s: %s", template.name, line)
    try:
        return gather_skills(found, settings.state_dir / "skills") if found else None
    except OSError as error:
        raise ConfigurationError([f"{template.name}: its skills cannot be copied: {error}"]) from error
