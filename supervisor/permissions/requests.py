"""What an agent's process asks before a tool runs, and what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from supervisor.api.questions import Answer, QuestionOutcome


class ToolRequest(Struct, frozen=True):
    """The CLI asks whether a tool may run, or shows an AskUserQuestion."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    tool_use_id: str = ""
    reason: str = ""
    """Why it was asked, when the CLI says."""
    folders: tuple[Path, ...] = ()
    """What the client was given beside its workspace: a file in there is where it belongs."""
    cwd: Path | None = None
    """What a relative path counts from, where the CLI says; it changes with `cd` in the agent's shell."""


class Verdict(NamedTuple):
    """The answer to a permission request, as the CLI is told it."""

    answer: Answer
    message: str = ""
    """The words the model gets to read when it is a refusal."""
    outcome: QuestionOutcome | None = None
    """How the question ended; None when the operator was not asked."""
