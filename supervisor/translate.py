"""The SDK's messages and errors in our words. The one place where untrusted text becomes clean (R5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    CLIConnectionError,
    CLIJSONDecodeError,
    Message,
    ProcessError,
    RateLimitEvent,
    ResultError,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from supervisor import client_events as told
from supervisor.cleaning import StreamCleaner, clean, one_line, shorten
from supervisor.errors import ClientDied, ConnectFailed, ResumeTargetMissing, SessionIdTaken
from supervisor.model import Usage
from supervisor.permissions import detail, summarize


class Translator:
    """Remembers one thing between messages: an escape sequence that was cut in two by a fragment's end."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._cleaner = StreamCleaner()

    def translate(self, message: Message) -> Iterator[told.ClientEvent]:
        match message:
            case StreamEvent():
                yield from self._fragment(message)
            case AssistantMessage():
                yield from self._assistant(message)
            case UserMessage():
                yield from _tool_results(message)
            case ResultMessage():
                yield _result(message)
            case SystemMessage():
                yield from _system(message.subtype, message.data)
            case RateLimitEvent():
                info = message.rate_limit_info
                yield told.Limited(info.status == "rejected", float(info.resets_at) if info.resets_at else None)
            case _:
                return

    def _fragment(self, message: StreamEvent) -> Iterator[told.ClientEvent]:
        if message.parent_tool_use_id is not None:
            return  # a sub-agent's words are not the reply
        event = message.event
        if event.get("type") == "content_block_start":
            self._cleaner = StreamCleaner()
        delta = event.get("delta") or {}
        is_text = event.get("type") == "content_block_delta" and delta.get("type") == "text_delta"
        if is_text and (text := self._cleaner.feed(delta.get("text", ""))):
            yield told.TextDelta(text)

    def _assistant(self, message: AssistantMessage) -> Iterator[told.ClientEvent]:
        if message.parent_tool_use_id is not None:
            return
        is_error_text = message.error is not None
        for block in message.content:
            match block:
                case TextBlock(text=text) if text and not is_error_text:
                    yield told.TextBlock(clean(text))
                case ToolUseBlock(id=tool_use_id, name=name, input=arguments):
                    summary = summarize(name, arguments, self._workspace)
                    yield told.ToolStarted(tool_use_id, clean(name), summary, detail(arguments, self._workspace))
                case _:
                    pass


def _tool_results(message: UserMessage) -> Iterator[told.ClientEvent]:
    if message.parent_tool_use_id is not None or isinstance(message.content, str):
        return
    for block in message.content:
        if isinstance(block, ToolResultBlock):
            text = shorten(clean(_plain(block.content)))
            yield told.ToolEnded(block.tool_use_id, text, bool(block.is_error))


def _plain(content: str | list[dict[str, Any]] | None) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", f"[{part.get('type', 'data')}]")) for part in content)


def _result(message: ResultMessage) -> told.Result:
    reason = message.terminal_reason or ""
    uuids = message.user_message_uuids
    if uuids is None and message.user_message_uuid is not None:
        uuids = [message.user_message_uuid]
    usage = message.usage or {}
    error = ""
    if message.is_error:
        error = clean(message.result or "; ".join(message.errors or ()) or message.subtype)
    return told.Result(
        prompt_uuids=None if uuids is None else tuple(uuids),
        text=clean(message.result or ""),
        is_error=message.is_error,
        was_aborted=reason.startswith("aborted"),
        terminal_reason=reason,
        error=error,
        api_status=message.api_error_status,
        usage=Usage(
            input_tokens=int(usage.get("input_tokens") or 0),
            output_tokens=int(usage.get("output_tokens") or 0),
            cache_tokens=int(usage.get("cache_read_input_tokens") or 0)
            + int(usage.get("cache_creation_input_tokens") or 0),
            cost_usd=message.total_cost_usd or 0.0,
        ),
        is_own=message.origin is None,
    )


def _system(subtype: str, data: dict[str, Any]) -> Iterator[told.ClientEvent]:
    match subtype:
        case "session_state_changed":
            yield told.Rested() if data.get("state") == "idle" else told.Woke()
        case "api_retry":
            status = data.get("error_status")
            yield told.Retrying(
                attempt=int(data.get("attempt") or 0),
                max_retries=int(data.get("max_retries") or 0),
                delay=float(data.get("retry_delay_ms") or 0) / 1000,
                status=int(status) if status else None,
                reason=one_line(str(data.get("error") or "no answer"), 200),
            )
        case "compact_boundary":
            compaction = data.get("compact_metadata") or data
            yield told.Compacted(int(compaction.get("pre_tokens") or 0))
        case _:
            return


def is_cut_refused(error: Exception, last_words: str) -> bool:
    """The conversation cannot be resumed at the entry named; as it is, it still can."""
    words = f"{last_words} {error}"
    return "Resume rejected" in words or "No message found with message.uuid" in words


def translate_connect_error(error: Exception, last_words: str) -> ConnectFailed:
    """Sorts out why a client could not be started. `last_words` is what it wrote to stderr."""
    words = one_line(clean(f"{last_words} {error}"), 500)
    if "No conversation found" in words or "requires a valid session ID" in words:
        return ResumeTargetMissing(words)
    if "already in use" in words:
        return SessionIdTaken(words)
    return ConnectFailed(f"the client could not be started: {words}")


def translate_death(error: Exception, last_words: str) -> ClientDied:
    """Sorts out how a connected client was lost."""
    words = one_line(clean(last_words), 300)
    match error:
        case CLIJSONDecodeError():
            return ClientDied("one message of the client was too large or not JSON", oversize=True)
        case ProcessError(exit_code=code):
            return ClientDied(f"the process ended with exit code {code}{': ' + words if words else ''}", exit_code=code)
        case CLIConnectionError() | ResultError():
            return ClientDied(one_line(clean(f"{error} {words}"), 500))
        case _:
            return ClientDied(one_line(clean(f"{type(error).__name__}: {error} {words}"), 500))
