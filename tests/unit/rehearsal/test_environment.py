"""A rehearsed CLI has one way out and nothing worth stealing."""

from __future__ import annotations

from pathlib import Path

from supervisor.rehearsal.environment import DUMMY_KEY, rehearsal_environment


def test_every_inherited_route_and_credential_is_blank() -> None:
    inherited = {
        "ANTHROPIC_API_KEY": "real",
        "ANTHROPIC_AUTH_TOKEN": "real",
        "ANTHROPIC_FOUNDRY_API_KEY": "real",
        "ANTHROPIC_CUSTOM_HEADERS": "x-key: real",
        "ANTHROPIC_BASE_URL": "https://elsewhere.example",
        "CLAUDE_CODE_OAUTH_TOKEN": "real",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR": "7",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_CODE_USE_GATEWAY": "1",
        "CLAUDE_CODE_API_BASE_URL": "https://elsewhere.example",
        "AWS_BEARER_TOKEN_BEDROCK": "real",
        "PATH": "/bin",
        "CLAUDE_CODE_MAX_RETRIES": "3",
    }

    laid_over = rehearsal_environment("http://127.0.0.1:1", Path("/state/claude"), inherited)
    seen = {**inherited, **laid_over}

    assert not {name for name, value in seen.items() if value in ("real", "x-key: real", "https://elsewhere.example")}
    assert seen["CLAUDE_CODE_USE_BEDROCK"] == seen["CLAUDE_CODE_USE_GATEWAY"] == ""
    assert seen["CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR"] == ""
    assert (seen["PATH"], seen["CLAUDE_CODE_MAX_RETRIES"]) == ("/bin", "3")
    assert seen["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert seen["ANTHROPIC_API_KEY"] == DUMMY_KEY
    assert seen["CLAUDE_CONFIG_DIR"] == "/state/claude"
    assert seen["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
