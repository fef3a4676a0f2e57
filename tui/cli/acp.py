"""`bullpen acp`: the Agent Client Protocol on standard input and output, for editors and other front ends.

Each of the editor's sessions is one of the running bullpen's: seen on the dashboard, kept in the journal, loaded again
later. Permission questions are put to the editor; the first answer counts, the editor's or an operator's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, cast

import anyio
import typer

from tui.cli.running_engine import command
from tui.cli.targets import check_agent

if TYPE_CHECKING:
    import acp as acp_library
    from acp import Client, schema

    from supervisor import Engine, Entry, Question, SessionKey

app = typer.Typer(rich_markup_mode=None)

ALLOWED, ALWAYS, REFUSED = "allow", "always", "deny"
READ_TOOLS = ("Read", "Grep", "Glob", "LS")


@command(app, "acp")
async def acp(
    engine: Engine,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Which agent. Not needed where there is one.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="U", help="On whose behalf.")] = "local",
) -> None:
    """Speaks the Agent Client Protocol, for editors. On standard input and output."""
    from acp import run_agent

    from supervisor import Refused

    names = [row.name for row in (await engine.snapshot()).instances]
    if not agent and len(names) != 1:
        raise Refused(f"say which agent: {', '.join(sorted(names))}")
    chosen = agent or names[0]
    check_agent(chosen, await engine.snapshot())
    await run_agent(cast("acp_library.Agent", EditorAgent(engine, chosen, user)), use_unstable_protocol=True)


class EditorAgent:
    """One editor's side of a running bullpen (`acp.Agent`)."""

    def __init__(self, engine: Engine, agent: str, user: str) -> None:
        self._engine = engine
        self._agent = agent
        self._user = user
        self._client: Client
        self._running: dict[str, str] = {}
        """Session → the turn that its prompt has begun."""
        self._told: dict[str, anyio.Event] = {}
        """Turn → set when all of it has been told."""

    def on_connect(self, conn: Client) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> schema.InitializeResponse:
        from acp import PROTOCOL_VERSION, schema

        from supervisor import __version__

        return schema.InitializeResponse(
            protocol_version=min(protocol_version, PROTOCOL_VERSION),
            agent_capabilities=schema.AgentCapabilities(
                load_session=True, prompt_capabilities=schema.PromptCapabilities(embedded_context=True)
            ),
            agent_info=schema.Implementation(name="bullpen", title=self._agent, version=__version__),
        )

    async def authenticate(self, method_id: str, **_: Any) -> None:
        """Does nothing: a caller that reached the bullpen has been let in."""

    async def new_session(self, cwd: str, **_: Any) -> schema.NewSessionResponse:
        from acp import schema

        from supervisor import new_id

        return schema.NewSessionResponse(session_id=f"acp-{new_id()}")

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> schema.LoadSessionResponse:
        from acp import schema

        reader = await self._engine.conversation(self._key(session_id))
        try:
            for entry in reader.read().entries:
                await self._tell(session_id, entry)
        finally:
            reader.close()
        return schema.LoadSessionResponse()

    async def list_sessions(self, cwd: str | None = None, **_: Any) -> schema.ListSessionsResponse:
        from acp import schema

        rows = [row for row in (await self._engine.snapshot()).sessions if self._is_mine(row.key)]
        return schema.ListSessionsResponse(
            sessions=[
                schema.SessionInfo(
                    session_id=row.key.session,
                    cwd=row.workspace or cwd or "/",
                    title=row.about or None,
                    updated_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.last_activity_at)),
                )
                for row in sorted(rows, key=lambda row: -row.last_activity_at)
            ]
        )

    async def prompt(self, session_id: str, prompt: Iterable[Any], **_: Any) -> schema.PromptResponse:
        from acp import RequestError, schema

        from supervisor import BullpenError, Cancelled, Done, Expired, Interrupted, Prompt

        key = self._key(session_id)
        try:
            ticket = await self._engine.submit(
                Prompt(self._agent, _text_of(prompt), user=self._user, session=key.session)
            )
            await ticket.accepted()
        except BullpenError as error:
            raise RequestError(-32000, str(error)) from error
        self._running[session_id] = ticket.turn_id
        self._told[ticket.turn_id] = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell_turn, session_id, ticket.turn_id)
                outcome = await ticket.outcome()
                # What was said last may still be on its way.
                with anyio.move_on_after(5):
                    await self._told[ticket.turn_id].wait()
                group.cancel_scope.cancel()
        finally:
            self._running.pop(session_id, None)
            self._told.pop(ticket.turn_id, None)
        match outcome:
            case Done():
                return schema.PromptResponse(stop_reason="end_turn")
            case Interrupted() | Cancelled():
                return schema.PromptResponse(stop_reason="cancelled")
            case Expired(message, _):
                raise RequestError(-32000, message)
        raise RequestError(-32000, getattr(outcome, "message", "the turn failed"))

    async def cancel(self, session_id: str, **_: Any) -> None:
        from supervisor import BullpenError

        if (turn_id := self._running.get(session_id)) is not None:
            with suppress(BullpenError):
                await self._engine.withdraw(turn_id)

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        from acp import RequestError

        raise RequestError.method_not_found(method)

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """Ignores the notification: no extension is supported."""

    def _key(self, session_id: str) -> SessionKey:
        from supervisor import SessionKey

        return SessionKey(self._agent, self._user, session_id)

    def _is_mine(self, key: SessionKey) -> bool:
        return key.instance == self._agent and key.user == self._user

    # A turn, as it runs

    async def _tell_turn(self, session_id: str, turn_id: str) -> None:
        from supervisor import Cursor, QuestionPosed, Replied, TurnEnded

        told = self._told[turn_id]
        reader = await self._engine.conversation(self._key(session_id))
        cursor, part, is_mine = Cursor(), "", False
        try:
            async with anyio.create_task_group() as group:
                while True:
                    reading = reader.read(cursor)
                    if reading.cursor == cursor:
                        await reader.next_change()
                        continue
                    cursor = reading.cursor
                    for entry in reading.entries:
                        if entry.turn_id != turn_id:
                            continue
                        is_mine = not isinstance(entry, TurnEnded)
                        if isinstance(entry, QuestionPosed):
                            group.start_soon(self._put, session_id, entry.question)
                        elif isinstance(entry, Replied):
                            rest = entry.text.removeprefix(part) if entry.text.startswith(part) else f"\n{entry.text}"
                            part = ""
                            await self._say(session_id, f"{rest}\n\n")
                        elif is_mine:
                            await self._tell(session_id, entry, is_new=True)
                        if isinstance(entry, TurnEnded):
                            told.set()
                            group.cancel_scope.cancel()
                    if is_mine and reading.opened:
                        part = reading.opened if reading.open_is_new else part + reading.opened
                        await self._say(session_id, reading.opened)
        finally:
            reader.close()

    async def _say(self, session_id: str, text: str) -> None:
        from acp import update_agent_message_text

        if text:
            await self._client.session_update(session_id, update_agent_message_text(text))

    async def _tell(self, session_id: str, entry: Entry, *, is_new: bool = False) -> None:
        """One entry; of a turn that runs, without the prompt, which the editor shows itself."""
        from acp import start_tool_call, text_block, tool_content, update_tool_call, update_user_message_text

        from supervisor import Asked, Noticed, Replied, ToolCalled, ToolReturned

        match entry:
            case Asked(text=text) if not is_new:
                update: Any = update_user_message_text(text)
            case Replied(text=text):
                await self._say(session_id, f"{text}\n\n")
                return
            case ToolCalled(tool_use_id=call, tool=tool, summary=summary):
                kind: schema.ToolKind = "read" if tool in READ_TOOLS else "execute" if tool == "Bash" else "other"
                update = start_tool_call(call, f"{tool} {summary}".strip(), kind=kind, status="in_progress")
            case ToolReturned(tool_use_id=call, text=text, is_error=is_error):
                status: schema.ToolCallStatus = "failed" if is_error else "completed"
                update = update_tool_call(call, status=status, content=[tool_content(text_block(text))])
            case Noticed(text=text):
                await self._say(session_id, f"*{text}*\n\n")
                return
            case _:
                return
        await self._client.session_update(session_id, update)

    async def _put(self, session_id: str, question: Question) -> None:
        """A question to the editor. An operator may have answered it before."""
        from acp import schema

        from supervisor import Allow, BullpenError, Choose, Deny, QuestionKind

        if question.kind is QuestionKind.CHOICE:
            (item, *more) = question.choices
            if more:
                return  # of several at once the protocol knows nothing: an operator answers
            options = [
                schema.PermissionOption(option_id=label, name=label, kind="allow_once") for label, _ in item.options
            ]
        else:
            options = [schema.PermissionOption(option_id=ALLOWED, name="Allow once", kind="allow_once")]
            if question.always:
                name = f"Always in this session: {question.always}"
                options.append(schema.PermissionOption(option_id=ALWAYS, name=name, kind="allow_always"))
        options.append(schema.PermissionOption(option_id=REFUSED, name="Deny", kind="reject_once"))
        asked = schema.ToolCallUpdate(
            tool_call_id=question.tool_use_id or question.id, title=f"{question.tool} {question.summary}".strip()
        )
        reply = await self._client.request_permission(session_id, asked, options)
        chosen = reply.outcome.option_id if isinstance(reply.outcome, schema.AllowedOutcome) else REFUSED
        if chosen == REFUSED:
            answer: Allow | Deny | Choose = Deny("the user of the editor denied it")
        elif question.kind is QuestionKind.CHOICE:
            answer = Choose({question.choices[0].question: chosen})
        else:
            answer = Allow(always=chosen == ALWAYS)
        with suppress(BullpenError):
            await self._engine.answer(question.id, answer, by="editor")


def _text_of(prompt: Iterable[Any]) -> str:
    """The text of a prompt's parts, one below the other; of what it links to the address, of what it holds the text."""
    parts = []
    for block in prompt:
        match getattr(block, "type", ""):
            case "text":
                parts.append(block.text)
            case "resource_link":
                parts.append(f"{block.name}: {block.uri}")
            case "resource" if isinstance(text := getattr(block.resource, "text", None), str):
                parts.append(f"{block.resource.uri}:\n{text}")
    return "\n\n".join(parts)
