"""What a host gives all its clients, and the environment and settings that one is started with there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from supervisor.claude.options import CompiledOptions
from supervisor.config.client_variables import is_of_a_provider, names_for_client, names_withheld
from supervisor.config.restrictions import client_settings
from supervisor.files.paths import find_config_dir
from supervisor.process.cgroups import Cgroup, Cgroups
from supervisor.process.executable import WITHHELD
from supervisor.process.guard import CGROUP, KEEP, SUPERVISOR
from supervisor.process.process_tree import MARK


class Installation(Struct, frozen=True):
    """The parts of a host that all its clients are started with."""

    state_dir: Path
    cli: Path | None = None
    """What to start instead of the bundled CLI (`executable.wrap_cli`)."""
    tools: Path | None = None
    """What the CLI starts its tools through (`executable.wrap_tools`)."""
    cgroups: Cgroups | None = None
    """Where each client gets a control group of its own."""

    def make_environment(self, compiled: CompiledOptions, mark: str, cgroup: Cgroup | None) -> dict[str, str]:
        """Variables laid over the inherited environment, with the names of all that the guard lets through of it."""
        own = {**compiled.environment, MARK: mark}
        if cgroup is not None:
            own[CGROUP] = str(cgroup.path)
        if self.tools is not None:
            own["CLAUDE_CODE_SHELL_PREFIX"] = str(self.tools)
            own[WITHHELD] = ""
        inherited = {
            name: value for name, value in os.environ.items() if not (compiled.hidden and is_of_a_provider(name))
        }
        names = names_for_client(inherited, own)
        if self.tools is not None:
            own[WITHHELD] = " ".join(sorted({*names_withheld(names, compiled.granted), *compiled.secrets}))
        if self.cli is None:  # without a guard, a variable can be emptied but not removed
            return {**dict.fromkeys(os.environ.keys() - {*names}, ""), **own}
        return {**own, KEEP: ",".join(names), SUPERVISOR: str(os.getpid())}

    def make_settings(self, compiled: CompiledOptions, workspace: Path) -> dict[str, Any]:
        """The CLI's settings; none without a template."""
        if compiled.template is None:
            return {}
        folders = map(Path, compiled.arguments.get("add_dirs", ()))
        return client_settings(
            compiled.template,
            config_dir=find_config_dir(compiled.environment),
            state_dir=self.state_dir,
            workspace=workspace,
            readable=(*folders, *filter(None, [self.tools])),
        )
