"""What the CLI asks before it runs a tool: the template's brackets are judged in a hook of every call, all else is the
engine's question."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import bounds
from supervisor.api.questions import Choose, Deny
from supervisor.claude.options import CompiledOptions
from supervisor.claude.transcript_cut import project_name
from supervisor.config.template import reads_anywhere
from supervisor.files.paths import find_config_dir
from supervisor.in_thread import run_in_thread
from supervisor.permissions.brackets import as_denial, as_question
from supervisor.permissions.requests import ToolRequest, Verdict
from supervisor.permissions.targets import is_outside
from supervisor.permissions.tool_calls import to_input
from supervisor.process.connection import Launch
from supervisor.text.cleaning import clean

if TYPE_CHECKING:
    from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny, ToolPermissionContext


class ToolPermissions:
    """Says of each tool call of one process whether it may run."""

    def __init__(self, compiled: CompiledOptions, launch: Launch) -> None:
        self._compiled = compiled
        self._launch = launch
        self._folders = tuple(map(Path, compiled.arguments.get("add_dirs", ())))

    async def may_use(
        self, tool: str, arguments: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResultAllow | PermissionResultDeny:
        """The SDK's `can_use_tool`: waits for the engine's verdict."""
        from claude_agent_sdk import PermissionResultAllow, PermissionResultDeny

        # A copy of its own: what was shown is what runs, byte for byte.
        request = ToolRequest(
            tool,
            arguments if bounds.is_too_deep(arguments) else copy.deepcopy(arguments),
            context.tool_use_id or "",
            clean(context.decision_reason or ""),
            self._folders,
        )
        verdict: Verdict = await self._launch.ask(request)
        if isinstance(verdict.answer, Deny):
            return PermissionResultDeny(message=verdict.message)
        if isinstance(verdict.answer, Choose):
            return PermissionResultAllow(updated_input=to_input(request, verdict.answer))
        return PermissionResultAllow(updated_input=request.arguments)

    def hooks(self) -> dict[Any, Any] | None:
        """The SDK's `hooks`. They judge every call by the brackets of the template, and where its mode would let files
        be read anywhere; in every permission mode and in sub-agents too."""
        from claude_agent_sdk import HookMatcher

        template = self._compiled.template
        if template is None:
            return None
        brackets = template.brackets
        must_ask = reads_anywhere(template)
        if not (brackets or must_ask):
            return None
        workspace, folders = self._launch.workspace, self._folders
        own = find_config_dir(self._compiled.environment) / "projects" / project_name(workspace)

        def decide(request: ToolRequest) -> dict[str, Any]:
            if objection := brackets.find_objection(request, workspace):
                return as_denial(objection)
            if must_ask and is_outside(request, workspace, (*folders, own)):
                return as_question("It is outside the agent's workspace")
            return {}

        async def judge(call: Any, tool_use_id: str | None, context: Any) -> Any:
            cwd = Path(call["cwd"]) if call.get("cwd") else None
            arguments = dict(call.get("tool_input") or {})
            request = ToolRequest(str(call.get("tool_name")), arguments, folders=folders, cwd=cwd)
            return await run_in_thread(decide, request)

        return {"PreToolUse": [HookMatcher(hooks=[judge], on_failure="block")]}
