"""The open door: a socket in the state directory for its owner, and, where that is wanted, an address for others."""

from __future__ import annotations

import asyncio
import math
import os
import resource
import socket
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskStatus

from supervisor.api.answer_links import AnswerLinks
from supervisor.api.engine import Engine
from supervisor.api.errors import BullpenError, Refused
from supervisor.files.socket_path import SOCKET, short_path
from supervisor.gateway.access import LOOPBACK, Access
from supervisor.gateway.app import AtTheSocket, compose_app
from supervisor.gateway.tokens import USED_EVERY, TokenFile
from supervisor.in_thread import run_in_thread
from supervisor.quiet_server import BACKLOG, QuietServer

MOST_CONNECTIONS = 4_096
"""Of the socket, and of the address, where this process may hold so many."""
TELLS = 60.0
"""Seconds between two errors in the log that say that a connection cannot be let in. asyncio tells of it thousands of
times a second where no descriptor is left."""
DESCRIPTORS = 16_384
"""File descriptors that bullpen asks the system for. More than a quarter is left to clients and files, however many
connect."""
ANYWHERE = ("0.0.0.0", "::")
LOOKS = 2.0
"""Seconds between two looks whether the socket is still there."""


class CannotOpen(Refused):
    """Raised when the door cannot be opened where it was told to."""


class DoorLost(BullpenError):
    """Raised when another program removed the socket: no client can connect any more. The engine goes on."""


class Door:
    """Serves one engine over HTTP for as long as `run` runs."""

    def __init__(
        self,
        engine: Engine,
        state_dir: Path,
        *,
        tokens: TokenFile,
        version: str,
        leave: Callable[[], object],
        listen: tuple[str, int] | None = None,
        tls: tuple[Path, Path] | None = None,
        hosts: Sequence[str] = (),
        origins: Sequence[str] = (),
        answer_links: AnswerLinks | None = None,
        public_url: str = "",
    ) -> None:
        """`state_dir` is where the socket is; `leave` begins the end of the program; `tls` are the files of a
        certificate and its key; `answer_links` are the addresses at which questions can be answered, below `public_url`
        or, where there is none, where the door listens. Raises `CannotOpen` when others could come in and there is no
        token yet."""
        self.tokens = tokens
        self.url = ""
        """Where it listens on the network, once it does; empty when it does not."""
        self._servers: list[QuietServer] = []
        self._state_dir = state_dir
        self._listen = listen
        self._tls = tls
        if listen is not None and not _is_loopback(listen[0]) and not self.tokens.all():
            raise CannotOpen(
                f"{listen[0]} can be reached by others, and there is no token yet: make one first "
                "(bullpen token new --operator), or listen at 127.0.0.1"
            )
        self._links = answer_links
        self._public_url = public_url
        public_host = urlsplit(public_url).hostname
        own_host = listen[0] if listen is not None and listen[0] not in ANYWHERE else ""
        names = [*hosts, *filter(None, (public_host, own_host))]
        access = Access(self.tokens, hosts=names, origins=origins)
        self.app = compose_app(
            engine, access, version=version, leave=leave, origins=tuple(origins), answer_links=answer_links
        )

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serves until it is cancelled; then every stream is hung up and the socket is gone. Raises `CannotOpen` before
        anything is served, and `DoorLost` when another program has removed the socket."""
        with ExitStack() as stack:
            stack.enter_context(_seldom_told(asyncio.get_running_loop()))
            most = find_most_connections()
            at_the_socket = QuietServer(AtTheSocket(self.app), most=most)
            servers = [(at_the_socket, stack.enter_context(bound_socket(self._state_dir)))]
            path = self._state_dir / SOCKET
            own = _inode(path)
            if self._listen is not None:
                listener = stack.enter_context(_bound_address(*self._listen))
                host, port = listener.getsockname()[:2]
                self.url = f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
                servers.append((QuietServer(self.app, most=most, **_tls_options(self._tls)), listener))
            if self._links is not None:
                can_be_reached = self._listen is not None and self._listen[0] not in ANYWHERE
                self._links.base_url = self._public_url or (self.url if can_be_reached else "")
            async with anyio.create_task_group() as group:
                await group.start(self.app.state.mirror.run)
                group.start_soon(self.app.state.metrics.look_at_the_loop)
                self._servers = [server for server, _ in servers]
                for server, listener in servers:
                    server.config.load()
                    group.start_soon(_serve, server, listener)
                group.start_soon(self._write_used)
                group.start_soon(_watch, path, own)
                task_status.started()
                await anyio.sleep_forever()

    async def _write_used(self) -> None:
        try:
            while True:
                await anyio.sleep(USED_EVERY)
                await run_in_thread(self.tokens.write_used)
        finally:
            self.tokens.write_used()

    @property
    def places(self) -> str:
        """Socket and address of the door: `/…/bullpen.sock and http://127.0.0.1:8787`."""
        return " and ".join(filter(None, (str(self._state_dir / SOCKET), self.url)))

    def hang_up(self) -> None:
        """Breaks every connection. Readers come back by new ones."""
        for server in self._servers:
            server.hang_up()


def find_most_connections() -> int:
    """At one place. Raises this process's own limit of descriptors, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, soft * 3 // 8)


@contextmanager
def _seldom_told(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    before = loop.get_exception_handler()
    handle, told_at = before or type(loop).default_exception_handler, -math.inf

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told_at
        if str(context.get("message", "")).startswith("socket.accept() out of system resource"):
            if loop.time() - told_at < TELLS:
                return
            told_at = loop.time()
        handle(loop, context)

    loop.set_exception_handler(tell)
    try:
        yield
    finally:
        if loop.get_exception_handler() is tell:
            loop.set_exception_handler(before)


async def _watch(path: Path, own: int | None) -> None:
    """Raises `DoorLost` when the file there is another one, or none."""
    while _inode(path) == own:  # noqa: ASYNC110 - a file does not say when it is removed
        await anyio.sleep(LOOKS)
    raise DoorLost(f"{path} was removed")


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None


async def _serve(server: QuietServer, listener: socket.socket) -> None:
    async with anyio.create_task_group() as group:

        async def stop_with_the_rest() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                server.should_exit = True

        group.start_soon(stop_with_the_rest)
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


@contextmanager
def bound_socket(folder: Path) -> Iterator[socket.socket]:
    """The folder's socket, for its owner only. One that an earlier run has left is replaced: the process
    that binds it holds the folder. Raises `CannotOpen`."""
    path = folder / SOCKET
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise CannotOpen(f"{path} is no socket: move it away")
            path.unlink()
        with short_path(path) as name:
            before = os.umask(0o177)
            try:
                listener.bind(name)
            finally:
                os.umask(before)
        os.chmod(path, 0o600)
        listener.listen(BACKLOG)
        own = path.lstat().st_ino
    except OSError as error:
        listener.close()
        raise CannotOpen(f"{path} cannot be opened: {error.strerror or error}") from error
    except BaseException:
        listener.close()
        raise
    try:
        yield listener
    finally:
        listener.close()
        with suppress(OSError):
            if path.lstat().st_ino == own:
                path.unlink()


@contextmanager
def _bound_address(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotOpen(
            f"cannot listen at {host}:{port}: {error.strerror or error}; choose another address"
        ) from error
    with listener:
        yield listener


def _tls_options(tls: tuple[Path, Path] | None) -> dict[str, str]:
    if tls is None:
        return {}
    certificate, key = tls
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CannotOpen(f"the certificate {certificate} cannot be used: {error.strerror or error}") from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK or host.startswith("127.")
