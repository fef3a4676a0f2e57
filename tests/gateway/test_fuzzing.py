"""The door against its own description: what it says it takes it takes, and what it answers is what it says it answers.

`make test` tries each route a little with the operator's token, `make soak` with every kind of token and for long.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio.to_thread
import pytest

from supervisor.gateway.tokens import Role
from tests.gateway.conftest import Open

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ENDLESS = r"/(feed|conversation|drained|stop|stream|events)$"
"""What goes on for as long as its reader, or ends the bullpen: proven elsewhere."""
SETTINGS = """
[checks.positive_data_acceptance]
# What a description cannot say is refused too: the last message must be the user's.
expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
[checks.negative_data_rejection]
expected-statuses = [401, 403, 404, 405, 409, 413, 422]
"""


def run(url: str, token: str, folder: Path, examples: int) -> subprocess.CompletedProcess[str]:
    settings = folder / "schemathesis.toml"
    settings.write_text(SETTINGS)
    head = ["-H", f"Authorization: Bearer {token}"] if token else []
    phases = "examples,coverage" if examples == 1 else "examples,coverage,fuzzing,stateful"
    options = (
        f"--checks all --max-examples {examples} --phases {phases} --no-color --warnings off --seed 7 "
        "--request-timeout 20 --suppress-health-check all --generation-database none"
    )
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", f"{url}/openapi.json"]
    return subprocess.run(
        [*program, *head, *options.split(), "--exclude-path-regex", ENDLESS],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.timeout(1_000)
@pytest.mark.parametrize(
    ("role", "examples"),
    [("operator", 1), *(pytest.param(role, 20, marks=pytest.mark.exhaustive) for role in (*Role, "none"))],
)
async def test_every_route_answers_as_it_is_described(bullpen: Open, tmp_path: Path, role: str, examples: int) -> None:
    async with bullpen() as home:
        token = ""
        if role != "none":
            _, token = home.door.tokens.add(Role(role), user="ana" if role == "user" else "")
        done = await anyio.to_thread.run_sync(run, home.door.url, token, tmp_path, examples)
        assert done.returncode == 0, f"{done.stdout[-6_000:]}\n{done.stderr[-1_000:]}"
