"""A connection to the bundled Claude Code CLI through the Agent SDK. The only module that drives the SDK's client."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from supervisor.api.errors import ClientDied, ConnectFailed
from supervisor.api.states import Server
from supervisor.claude.installation import Installation
from supervisor.claude.last_words import LastWords
from supervisor.claude.options import CompiledOptions
from supervisor.claude.start_files import FOLDER, StartFiles, start_files
from supervisor.claude.tool_permissions import ToolPermissions
from supervisor.claude.transcript_cut import (
    CutKind,
    TranscriptCut,
    find_cut,
    find_spent,
    find_transcript,
    keep_private,
    set_aside,
)
from supervisor.config.client_variables import keep_own
from supervisor.files.paths import find_config_dir
from supervisor.files.private import make_private_dir
from supervisor.in_thread import run_in_thread
from supervisor.late_imports import import_late
from supervisor.process.cgroups import Cgroup
from supervisor.process.connection import Connection, Connector, Launch
from supervisor.process.process_tree import ProcessTable, Tree, TreeUsage, find_descendant, find_top, if_there
from supervisor.process.reports import ClientEvent
from supervisor.process.suspension import Suspension
from supervisor.text.cleaning import clean, one_line

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

    from supervisor.claude.arrivals import Arrivals
    from supervisor.claude.contexts import AgentContext
    from supervisor.claude.messages import Translator
    from supervisor.claude.transport import QuietTransport

_log = logging.getLogger(__name__)


PLANNING_FIGURE = 256 * 1024**2
"""Bytes expected of a client while too few have been measured. Trees of the bundled CLI measured 110-250 MB (PSS, after
up to five turns): this is just above them. The 1 GiB of S2.29 would leave three quarters of a host unused."""


Use = Callable[[], Awaitable["AgentContext | None"]]


class SdkConnector:
    """Opens connections with one set of compiled options."""

    def __init__(
        self,
        options: CompiledOptions,
        installation: Installation,
        use: Use | None = None,
        vary: Callable[[str, str], Connector] | None = None,
    ) -> None:
        """`use` looks up what is prepared for these options, for each start; `vary` makes the connector of another
        provider and model."""
        self._options = options
        self._installation = installation
        self._use = use
        self._vary = vary

    def variant(self, provider: str, model: str) -> Connector:
        assert self._vary is not None, "made by `bundled_cli`"
        return self._vary(provider, model)

    @property
    def digest(self) -> str:
        return self._options.digest

    @property
    def expected_bytes(self) -> int:
        return PLANNING_FIGURE

    def open(self, launch: Launch) -> Connection:
        return SdkConnection(self._options, launch, self._installation, self._use)


class SdkConnection:
    """One CLI process. See `connection.Connection` for what each method promises."""

    def __init__(
        self, options: CompiledOptions, launch: Launch, installation: Installation, use: Use | None = None
    ) -> None:
        self._compiled = options
        self._use = use
        self._installation = installation
        self._launch = launch
        self._client: ClaudeSDKClient | None = None
        self._transport: QuietTransport | None = None
        self._arrivals: Arrivals | None = None
        self._translator: Translator | None = None
        self._last_words = LastWords()
        self._pid = 0
        self._spent_before: float | None = 0.0
        self._root: psutil.Process | None = None
        self._top: psutil.Process | None = None
        """Its guard, where it has one: everything that the CLI has started is below it."""
        self._cgroup: Cgroup | None = None
        self._suspension: Suspension | None = None
        """The last one, over or not."""

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def spent_before(self) -> float | None:
        return self._spent_before

    @property
    def started(self) -> float:
        return self._root.create_time() if self._root is not None else 0.0

    async def connect(self) -> None:
        # 0.8 s of imports: in a thread, so that the screen paints on.
        await import_late("supervisor.http_client")  # mcp would import all of httpx
        sdk = await import_late("claude_agent_sdk")
        translate = await import_late("supervisor.claude.messages")
        self._translator = translate.Translator(self._launch.workspace)
        try:
            context = await self._use() if self._use is not None else None
            if context is not None and context.version == self._compiled.digest:
                self._compiled = context.options
            await run_in_thread(self._prepare)
            compiled, folder = self._compiled, self._installation.state_dir / FOLDER
            servers = keep_own(compiled.servers) if self._installation.tools is not None else compiled.servers
            servers = {**servers, **compiled.tools.for_cli()}
            settings = self._installation.make_settings(compiled, self._launch.workspace)
            with start_files(folder, compiled.prompt, servers, settings) as files:
                await self._start_with(sdk, translate, files)
        except ConnectFailed:
            raise
        except Exception as error:
            raise translate.translate_connect_error(error, str(self._last_words)) from error

    async def _start(self, options: ClaudeAgentOptions) -> None:
        from claude_agent_sdk import CanUseToolShadowedWarning, ClaudeSDKClient

        from supervisor.claude.transport import QuietTransport

        # The template has chosen a mode without questions; the SDK's warning would stand in the middle of the screen.
        warnings.filterwarnings("ignore", category=CanUseToolShadowedWarning)
        transport = QuietTransport(options, self._last_words.hear)
        # The CLI has read of its servers in a file; the SDK is given those that it runs itself.
        own = await self._compiled.tools.for_client(self._launch.whose)
        self._client = ClaudeSDKClient(dataclasses.replace(options, mcp_servers=own), transport)
        await self._client.connect()
        transport.is_connected = True
        self._transport, self._arrivals = transport, transport.arrivals
        info = await self._client.get_server_info() or {}
        self._pid = find_descendant(transport.pid, info.get("pid")) or transport.pid
        with if_there():
            self._root = psutil.Process(self._pid)
            self._top = find_top(self._root)

    def _prepare(self) -> None:
        """The directories it needs, and its conversation where only it can be read from. Blocking."""
        make_private_dir(self._launch.workspace, below=self._installation.state_dir)
        for folder in self._compiled.arguments.get("add_dirs", ()):
            Path(folder).mkdir(parents=True, exist_ok=True)
        if self._installation.cgroups is not None and self._installation.cli is not None:
            self._cgroup = self._installation.cgroups.make(self._launch.mark)
        if self._launch.resume:
            keep_private(find_config_dir(self._compiled.environment), self._launch.session_uuid, self._launch.workspace)

    async def _start_with(self, sdk: Any, translate: Any, files: StartFiles) -> None:
        options = await self._options(sdk.ClaudeAgentOptions, files)
        try:
            await self._start(options)
        except Exception as error:
            if not (options.resume_session_at and translate.is_cut_refused(error, str(self._last_words))):
                raise
            # The conversation has gone on since, so the CLI would reject this cut again. Resume without it.
            _log.warning("%s is resumed uncut: %s", self._launch.client_id, error)
            self._last_words.clear()
            uncut = dataclasses.replace(options, resume_session_at=None, resume_drops_turn=None)
            await self._start(uncut)

    async def listen(self, hear: Callable[[ClientEvent], object]) -> None:
        assert self._arrivals is not None, "connected"
        assert self._translator is not None, "connected"
        from supervisor.claude.messages import translate_death

        translator, mistake = self._translator, None

        def read(messages: list[dict[str, Any]]) -> None:
            nonlocal mistake
            for event in translator.read(messages):
                try:
                    hear(event)
                except Exception as error:
                    mistake = error
                    raise

        try:
            await self._arrivals.read(read)
        except Exception as error:
            if error is mistake or isinstance(error, ClientDied):
                raise
            raise translate_death(error, str(self._last_words)) from error

    async def send(self, text: str, uuid: str) -> None:
        await self._write(_line_of(text, uuid, is_verbatim=True))

    def send_at_once(self, text: str, uuid: str) -> bool:
        assert self._transport is not None, "connected"
        try:
            return self._transport.write_at_once(_line_of(text, uuid, is_verbatim=True))
        except Exception as error:
            raise _unwritten(error) from error

    async def command(self, text: str, uuid: str) -> None:
        await self._write(_line_of(text, uuid, is_verbatim=False))

    async def _write(self, line: str) -> None:
        assert self._transport is not None, "connected"
        try:
            await self._transport.write(line)
        except Exception as error:
            raise _unwritten(error) from error

    async def interrupt(self) -> None:
        assert self._client is not None, "connected"
        try:
            await self._client.interrupt()
        except Exception as error:
            raise ClientDied(f"the interrupt could not be delivered: {one_line(clean(str(error)), 300)}") from error

    async def ping(self) -> tuple[Server, ...]:
        assert self._client is not None, "connected"
        from supervisor.claude.messages import read_servers

        try:
            return self._compiled.tools.mark_troubled(read_servers(await self._client.get_mcp_status()))
        except Exception as error:
            raise ClientDied(f"it does not answer: {one_line(clean(str(error)), 300)}") from error

    async def suspend(self) -> bool:
        if self._suspension is None:
            self._suspension = Suspension(self._top, self._cgroup)
        elif self._suspension.is_over:
            self._suspension = self._suspension.again()
        return await self._suspension.run()

    def wake(self) -> None:
        if self._suspension is not None:
            self._suspension.wake()

    def measure(self, table: ProcessTable) -> TreeUsage:
        return table.measure(self._top.pid if self._top is not None else 0, self._cgroup)

    def tree(self) -> Tree:
        return Tree(self._top, self._launch.mark, self._cgroup, has_guard=self._top is not self._root)

    async def disconnect(self) -> None:
        if self._client is None:
            return
        try:
            await self._client.disconnect()
        except Exception as error:  # its process is ended by the ladder in any case
            _log.warning("disconnect of pid %s: %s", self._pid, error)

    async def _options(self, make: type[ClaudeAgentOptions], files: StartFiles) -> ClaudeAgentOptions:
        launch = self._launch
        permissions = ToolPermissions(self._compiled, launch)
        options = make(
            **self._compiled.arguments,
            system_prompt={"type": "file", "path": str(files.prompt)},
            mcp_servers=files.servers or {},
            env=self._installation.make_environment(self._compiled, launch.mark, self._cgroup),
            cwd=launch.workspace,
            cli_path=self._installation.cli,
            settings=str(files.settings),
            stderr=self._last_words.hear,
            can_use_tool=permissions.may_use,
            hooks=permissions.hooks(),
        )
        anew = dataclasses.replace(options, session_id=launch.session_uuid)
        if not launch.resume:
            return anew
        self._spent_before = await run_in_thread(self._find_spent)
        resumed = dataclasses.replace(options, resume=launch.session_uuid)
        if not launch.drop_turns:
            return resumed
        cut = await run_in_thread(self._find_cut)
        if cut is None:
            return anew if launch.is_unanswered else resumed
        match cut.kind:
            case CutKind.ALL:
                self._spent_before = 0.0
                return anew
            case CutKind.AFTER:
                return dataclasses.replace(resumed, resume_session_at=cut.at, resume_drops_turn=cut.drops or None)
            case _:
                return resumed

    def _find_transcript(self) -> Path | None:
        """Blocking."""
        return find_transcript(find_config_dir(self._compiled.environment), self._launch.session_uuid)

    def _find_spent(self) -> float | None:
        """Blocking."""
        try:
            return find_spent(transcript) if (transcript := self._find_transcript()) is not None else 0.0
        except (OSError, ValueError) as error:
            _log.warning("what %s has cost before is not known: %s", self._launch.client_id, error)
            return None

    def _find_cut(self) -> TranscriptCut | None:
        """Where the conversation has to be cut; None when there is none on disk. Blocking."""
        launch = self._launch
        if (transcript := self._find_transcript()) is None:
            return None
        cut = find_cut(transcript, launch.drop_turns, with_unjudged=launch.drops_unjudged)
        if cut.kind is CutKind.ALL:
            set_aside(transcript, cut.drops)
        return cut


def _line_of(text: str, uuid: str, *, is_verbatim: bool) -> str:
    """A prompt as the SDK's client writes it. That client marks all its prompts as verbatim, or none, and writes them
    only where it may wait."""
    from claude_agent_sdk._internal.query import stamp_user_message

    message = {
        "type": "user",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
        "uuid": uuid,
        "session_id": "default",
    }
    return json.dumps(stamp_user_message(message, is_verbatim)) + "\n"


def _unwritten(error: Exception) -> ClientDied:
    return ClientDied(f"the prompt could not be written: {one_line(clean(str(error)), 300)}")
