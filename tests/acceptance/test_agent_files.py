"""A file of Claude Code's gives the same agent here: prompt, model and tools that reach the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.rehearsal import Rehearsal
from tests.acceptance.agent_files import QUICK, find_differences

pytestmark = pytest.mark.anyio


async def test_one_file_of_each_kind_reaches_the_model_as_with_claude_code(tmp_path: Path) -> None:
    """`make probes` asks the whole table."""
    async with Rehearsal(pace=0.01, keep=1_000) as rehearsal:
        assert await find_differences(QUICK, rehearsal, tmp_path) == []
