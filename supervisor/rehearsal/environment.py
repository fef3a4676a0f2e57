"""The environment of a CLI process in rehearsal: one way out, and no credential that is worth anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

DUMMY_KEY = "rehearsal-needs-no-key"

BLANK = (
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_UNIX_SOCKET",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_VERTEX",
)
"""Always blank: a process inherits the supervisor's environment, and a variable can be emptied but not removed."""

_ROUTE_OR_CREDENTIAL = re.compile(
    r"ANTHROPIC_\w+|CLAUDE_CODE_USE_\w+|CLAUDE_CODE_\w*(TOKEN|_KEY|_URL|SOCKET|FILE_DESCRIPTOR)\w*|AWS_BEARER_TOKEN_BEDROCK"
)
"""Blank as well when inherited: whatever else chooses an endpoint, a model of an account, or proves an identity."""

_LOOPBACK = "127.0.0.1,localhost"


def rehearsal_environment(url: str, config_dir: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Variables to lay over `inherited` for a process that is to talk to `url` only."""
    blank = dict.fromkeys((*BLANK, *filter(_ROUTE_OR_CREDENTIAL.fullmatch, inherited)), "")
    return {
        **blank,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "CLAUDE_CONFIG_DIR": str(config_dir),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        # A proxy of the host must not carry, or fail, what is meant for this machine.
        "NO_PROXY": _LOOPBACK,
        "no_proxy": _LOOPBACK,
    }
