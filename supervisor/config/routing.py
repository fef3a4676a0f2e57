"""Where a prompt goes that names no agent: `[routing]` in `bullpen.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RoutingSettings(BaseModel):
    """What is sent to an agent by what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default: str = Field(
        default="",
        description="The agent for prompts that name none and match none. Default: none, such prompts are refused.",
    )
