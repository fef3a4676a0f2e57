"""Which variables reach a client and its tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.config.client_variables import MOST_SECRET, expand, names_for_client, names_withheld, resolve

OPERATOR = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "https_proxy": "http://proxy",
    "ANTHROPIC_API_KEY": "key",
    "CLAUDE_CODE_USE_BEDROCK": "0",
    "CLAUDE_CODE_SESSION_ID": "of the program that started bullpen",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CA_BUNDLE": "/etc/ca.pem",
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
    "DATABASE_URL": "postgres://user:password@host",
    "SSH_AUTH_SOCK": "/agent",
    "GITHUB_TOKEN": "token",
}


def test_a_client_gets_what_it_needs_and_nothing_else_of_the_operators() -> None:
    names = names_for_client(OPERATOR, {"OWN": "1"})
    assert {"PATH", "LC_ALL", "https_proxy", "ANTHROPIC_API_KEY", "AWS_CA_BUNDLE", "OWN"} <= {*names}
    for secret in ("DATABASE_URL", "SSH_AUTH_SOCK", "GITHUB_TOKEN", "CLAUDE_CODE_SESSION_ID", "AWS_SECRET_ACCESS_KEY"):
        assert secret not in names


@pytest.mark.parametrize(
    ("switch", "credential"),
    [
        ("CLAUDE_CODE_USE_BEDROCK", "AWS_SECRET_ACCESS_KEY"),
        ("CLAUDE_CODE_USE_VERTEX", "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_credentials_of_a_provider_reach_the_client_that_uses_it_and_never_its_tools(
    switch: str, credential: str
) -> None:
    names = names_for_client(OPERATOR, {switch: "1"})
    assert credential in names
    assert credential in names_withheld(names, granted=[])
    assert credential not in names_for_client(OPERATOR, {switch: ""})


def test_tools_keep_what_they_need_and_what_the_template_grants_but_not_the_clients_own_credentials() -> None:
    names = [*names_for_client(OPERATOR, {}), "CLAUDE_CONFIG_DIR", "AWS_SECRET_ACCESS_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]
    withheld = names_withheld(names, granted=["AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY"])
    assert {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_MESSAGING_TOKEN"} <= {*withheld}
    assert not {"PATH", "CLAUDE_CONFIG_DIR", "AWS_CA_BUNDLE", "AWS_SECRET_ACCESS_KEY"} & {*withheld}


def test_references_are_followed_and_every_one_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    (tmp_path / "large").write_text("x" * (MOST_SECRET + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    values = {
        "A": "plain",
        "B": "env:HERE",
        "C": "file:token",
        "D": "env:MISSING",
        "E": "file:nowhere",
        "F": "file:large",
        "G": "file:bytes",
        "H": "file:.",
    }
    found, wrong = resolve(values, tmp_path, {"HERE": "set"})
    assert found == {"A": "plain", "B": "set", "C": "from a file"}
    assert list(wrong) == ["D", "E", "F", "G", "H"]
    assert wrong["D"] == "names the variable MISSING, which is not set; set it before bullpen is started"
    assert wrong["E"] == "names the file nowhere, which cannot be used: No such file or directory"
    assert all("\n" not in sentence for sentence in wrong.values())


def test_variables_in_mcp_servers_are_expanded_at_any_depth_and_unknown_ones_left() -> None:
    server = {"env": {"A": "x${ONE}y"}, "args": ["${TWO:-two}", "${THREE}", 4]}
    assert expand(server, {"ONE": "1"}) == {"env": {"A": "x1y"}, "args": ["two", "${THREE}", 4]}
