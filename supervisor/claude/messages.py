"""The SDK's messages and errors in our words. The one place where untrusted text becomes clean (R5)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from claude_agent_sdk._internal.message_parser import parse_message

from supervisor import bounds
from supervisor.api.errors import ClientDied, ConnectFailed, ResumeTargetMissing, SessionIdTaken
from supervisor.api.outcomes import Usage
from supervisor.api.states import Server, ServerState
from supervisor.claude.output_limit import Ration
from supervisor.permissions.tool_calls import detail, summarize
from supervisor.process import reports as told
from supervisor.text.cleaning import StreamCleaner, clean, one_line, shorten
from supervisor.text.urls import hide_credentials

_MOST_ERRORS, _MOST_ERROR = 20, 2_000
"""Errors of one Result that are told, and characters of each."""
_BLOCK_ENDS = ("message_start", "content_block_start", "content_block_stop", "message_stop")
"""Events of a stream after which the block before them is not open any more."""
_STOPPED = "The user doesn't want to proceed with this tool use."
"""How the CLI (2.1.332) begins the result of every call that an interrupt hit; with it, an approved Write had written
its file each time, and a command had begun or not."""


_CONTEXT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")

_MOST_SERVERS = 100
"""MCP servers of one client that are told."""


class Translator:
    """Remembers two things between messages: an escape sequence that was cut in two by a fragment's end, and whether a
    block is being streamed.

    The whole block arrives before the end of its stream. A stream that ends, or begins anew, without it belongs to an
    attempt that the CLI has given up (measured: a lost connection, an error in the stream, a fallback to one answer).
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._ration = Ration()
        self._cleaner = StreamCleaner()
        self._is_streaming = False
        """Fragments of a block have come, and the whole block has not."""
        self._context = 0
        """Tokens that the last reply was made from, and its own."""

    def read(self, lines: Iterable[dict[str, Any]]) -> Iterator[told.ClientEvent]:
        """What messages tell that came at once, as the CLI wrote them. Fragments of text that follow one another are
        put together: what came at once is shown at once, and cleaned at once.

        Raises at one that cannot be read, when what was before it is told: it may have been the Result that a turn
        waits for, and that turn must not wait for ever.
        """
        fragments: list[str] = []
        for line in lines:
            # Most messages are of a reply that streams: of each of them the SDK would make an object.
            is_streamed = line.get("type") == "stream_event"
            if is_streamed and line.get("parent_tool_use_id") is not None:
                continue  # a sub-agent's words are not the reply
            event = line.get("event") if is_streamed else None
            if (text := _text_of(event)) is not None:
                fragments.append(text)
                continue
            if fragments:
                yield from self._share_out(self._say("".join(fragments)))
                fragments.clear()
            if is_streamed:
                yield from self._share_out(self._note_streamed(bounds.mapping(event)))
            elif (message := parse_message(line)) is not None:
                yield from self._read_one(message)
        if fragments:
            yield from self._share_out(self._say("".join(fragments)))

    def _read_one(self, message: Message) -> list[told.ClientEvent]:
        try:
            return self._share_out(self.translate(message))
        except Exception as error:
            raise ClientDied(f"a message of the client could not be read: {type(error).__name__}") from error

    def _share_out(self, events: Iterable[told.ClientEvent]) -> list[told.ClientEvent]:
        return [one for event in events for one in self._ration.share_out(event)]

    def translate(self, message: Message) -> Iterator[told.ClientEvent]:
        match message:
            case StreamEvent():
                yield from self._streamed(message)
            case AssistantMessage():
                yield from self._assistant(message)
            case UserMessage():
                yield from _tool_results(message)
            case ResultMessage():
                result = _result(message, self._context)
                if result.structured:
                    yield told.TextBlock(result.structured)
                yield result
            case SystemMessage():
                if message.subtype == "api_retry":
                    yield from self._void()
                yield from _system(message.subtype, message.data)
            case RateLimitEvent():
                info = message.rate_limit_info
                yield told.Limited(getattr(info, "status", "") == "rejected", getattr(info, "resets_at", None))
            case _:
                return

    def _streamed(self, message: StreamEvent) -> Sequence[told.ClientEvent]:
        if message.parent_tool_use_id is not None:
            return ()
        text = _text_of(message.event)
        return self._note_streamed(bounds.mapping(message.event)) if text is None else self._say(text)

    def _note_streamed(self, event: Mapping[str, Any]) -> Sequence[told.ClientEvent]:
        """Notes what a stream tells besides its fragments."""
        if event.get("type") not in _BLOCK_ENDS:
            return ()
        self._cleaner = StreamCleaner()
        return self._void()

    def _say(self, text: str) -> Sequence[told.ClientEvent]:
        """The next piece of the open block."""
        if text := self._cleaner.feed(text):
            self._is_streaming = True
            return (told.TextDelta(text),)
        return ()

    def _void(self) -> Sequence[told.ClientEvent]:
        if self._is_streaming:
            self._is_streaming = False
            return (told.Voided(),)
        return ()

    def _assistant(self, message: AssistantMessage) -> Iterator[told.ClientEvent]:
        if message.parent_tool_use_id is not None:
            for block in bounds.sequence(message.content):
                if isinstance(block, ToolUseBlock):
                    yield _call(block, message.parent_tool_use_id)
            return
        is_error_text = message.error is not None
        if not is_error_text and (usage := bounds.mapping(message.usage)):
            self._context = sum(bounds.count(usage.get(name)) for name in _CONTEXT)
        for block in bounds.sequence(message.content):
            match block:
                case TextBlock(text=str(text)) if text and not is_error_text:
                    self._is_streaming = False
                    yield told.TextBlock(clean(bounds.text(text)))
                case ToolUseBlock(id=tool_use_id, name=name, input=given):
                    tool, arguments = clean(bounds.text(name, told.MOST_NAME)), bounds.mapping(given)
                    summary = summarize(tool, arguments, self._workspace)
                    yield told.ToolStarted(tool_use_id, tool, summary, detail(arguments))
                    yield _call(block)
                case _:
                    pass


def _text_of(event: object) -> str | None:
    """The text that an event of the API's stream adds to the reply; None for other events."""
    if not isinstance(event, dict) or event.get("type") != "content_block_delta":
        return None
    delta = event.get("delta")
    if not isinstance(delta, dict) or delta.get("type") != "text_delta":
        return None
    return bounds.text(delta.get("text"))


def _call(block: ToolUseBlock, within: str = "") -> told.CallMade:
    """A call that is too deep to be written down is like no other."""
    whole = (
        bounds.text(block.id)
        if bounds.is_too_deep(block.input)
        else json.dumps(bounds.mapping(block.input), sort_keys=True, default=str)
    )
    name = clean(bounds.text(block.name, told.MOST_NAME))
    return told.CallMade(name, hashlib.sha256(f"{name}\0{whole}".encode("utf-8", "replace")).hexdigest(), within)


def _tool_results(message: UserMessage) -> Iterator[told.ClientEvent]:
    if message.parent_tool_use_id is not None:
        return
    for block in bounds.sequence(message.content):
        if isinstance(block, ToolResultBlock):
            text = shorten(clean(bounds.text(_plain(block.content))))
            was_stopped = bool(block.is_error) and text.startswith(_STOPPED)
            yield told.ToolEnded(block.tool_use_id, text, bool(block.is_error), was_stopped)


def _plain(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = map(bounds.mapping, bounds.sequence(content))
    return "\n".join(
        bounds.text(part["text"]) if "text" in part else f"[{bounds.text(part.get('type'), 100) or 'data'}]"
        for part in parts
    )


def _window(usage: object) -> int:
    """Tokens that the largest of the models used takes in."""
    models = bounds.mapping(usage).values()
    return max((bounds.count(bounds.mapping(one).get("contextWindow")) for one in models), default=0)


def _result(message: ResultMessage, context_tokens: int) -> told.Result:
    reason = bounds.text(message.terminal_reason, told.MOST_NAME)
    words = clean(bounds.text(message.result))
    uuids = message.user_message_uuids
    if uuids is None and message.user_message_uuid is not None:
        uuids = [message.user_message_uuid]
    usage = bounds.mapping(message.usage)
    error = ""
    if message.is_error:
        errors = "; ".join(bounds.text(one, _MOST_ERROR) for one in bounds.sequence(message.errors)[:_MOST_ERRORS])
        # The CLI names the address that it could not reach, as it was given.
        error = hide_credentials(words or clean(errors) or clean(bounds.text(message.subtype, told.MOST_NAME)))
    return told.Result(
        prompt_uuids=None if uuids is None else tuple(bounds.sequence(uuids)),
        text=words,
        is_error=message.is_error,
        was_aborted=reason.startswith("aborted"),
        terminal_reason=reason,
        error=error,
        api_status=message.api_error_status,
        usage=Usage(
            input_tokens=usage.get("input_tokens", 0),
            output_tokens=usage.get("output_tokens", 0),
            cache_tokens=bounds.count(usage.get("cache_read_input_tokens"))
            + bounds.count(usage.get("cache_creation_input_tokens")),
            cost_usd=message.total_cost_usd or 0.0,
        ),
        is_own=message.origin is None,
        context_tokens=context_tokens,
        context_window=_window(message.model_usage),
        structured=clean(bounds.as_json(message.structured_output)),
    )


def _system(subtype: str, given: object) -> Iterator[told.ClientEvent]:
    data = bounds.mapping(given)
    match subtype:
        case "status" if data.get("status") == "requesting":
            yield told.Requested(tuple(bounds.sequence(data.get("user_message_uuids"))))
        case "task_notification":
            summary = one_line(clean(bounds.text(data.get("summary"))), 200)
            yield told.Prodded(f"a background task has ended{': ' + summary if summary else ''}")
        case "session_state_changed":
            yield told.Rested() if data.get("state") == "idle" else told.Woke()
        case "api_retry":
            yield told.Retrying(
                attempt=data.get("attempt", 0),
                max_retries=data.get("max_retries", 0),
                delay=bounds.milliseconds(data.get("retry_delay_ms")),
                status=data.get("error_status"),
                reason=one_line(bounds.text(data.get("error")), 200),
            )
        case "compact_boundary":
            compaction = bounds.mapping(data.get("compact_metadata")) or data
            yield told.Compacted(compaction.get("pre_tokens", 0), compaction.get("post_tokens", 0))
        case _:
            return


_ADVICE = "Error output: Check stderr output for details"
_EXIT_CODE = re.compile(r"Command failed with exit code (-?\d+) \(exit code: \1\)")


def read_servers(status: object) -> tuple[Server, ...]:
    """The MCP servers in the CLI's answer about their status."""
    found = []
    for given in bounds.sequence(bounds.mapping(status).get("mcpServers"))[:_MOST_SERVERS]:
        one = bounds.mapping(given)
        state = one.get("status")
        if isinstance(state, str) and state in ServerState.__members__.values():
            name = one_line(clean(bounds.text(one.get("name"))), 100)
            found.append(Server(name, ServerState(state), one_line(clean(bounds.text(one.get("error"))), 200)))
    return tuple(found)


def is_cut_refused(error: Exception, last_words: str) -> bool:
    """The conversation cannot be resumed at the entry named; as it is, it still can."""
    words = f"{last_words} {error}"
    return "Resume rejected" in words or "No message found with message.uuid" in words


def translate_connect_error(error: Exception, last_words: str) -> ConnectFailed:
    """Sorts out why a client could not be started. `last_words` is what it wrote to stderr."""
    words = one_line(clean("; ".join(filter(None, (last_words, _sdk_words(error))))), 500)
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
            return ClientDied(one_line(clean(f"{_sdk_words(error)} {words}"), 500))
        case _:
            return ClientDied(one_line(clean(f"{type(error).__name__}: {_sdk_words(error)} {words}"), 500))


def _sdk_words(error: Exception) -> str:
    """The SDK's message, without its advice to read what is shown here anyway, and without its code twice."""
    return _EXIT_CODE.sub(r"exit code \1", str(error).replace(_ADVICE, "")).strip()
