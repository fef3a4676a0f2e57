"""Where the CLI's credentials would come from. Only looked for, never read out, stored or passed on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from supervisor.files.reading import read_file

MOST_BYTES = 16 * 1024**2
"""Of one of the CLI's own files; its account file grows with its projects."""

VARIABLES = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)


def find_credentials(environ: Mapping[str, str], home: Path | None = None) -> str | None:
    """Names the first source found, in the CLI's own order; None when there is none."""
    for name in VARIABLES:
        if environ.get(name, "").strip():
            return f"the environment's {name}"
    home = home or Path(os.path.expanduser("~"))  # which stays as it is where no home is known
    configured = environ.get("CLAUDE_CONFIG_DIR", "")
    folder = Path(configured) if configured else home / ".claude"
    if os.path.isfile(folder / ".credentials.json"):
        return f"the login in {folder}"
    if _read(folder / "settings.json").get("apiKeyHelper"):
        return f"the apiKeyHelper of {folder / 'settings.json'}"
    account = (folder if configured else home) / ".claude.json"
    if sys.platform == "darwin" and _read(account).get("oauthAccount"):
        return "the login in the keychain"
    return None


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(read_file(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
