"""Finds the bullpen that runs, and has one thing done there."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import typer

from tui.cli.errors import only
from tui.cli.exit_codes import DONE, FAILED, NOT_RUNNING, REFUSED
from tui.cli.options import Common, ConfigOption, RehearsalOption, StateOption, settings_of
from tui.cli.output import ask_line, tell
from tui.cli.signals import SIGNALS
from tui.cli.terminal_input import read_line
from tui.cli.threads import leave

if TYPE_CHECKING:
    from supervisor import Engine, RemoteEngine

LOOK_SECONDS = 0.5
"""Between two looks whether the line has broken."""

UrlOption = Annotated[
    str,
    typer.Option(
        "--url", metavar="URL", envvar="BULLPEN_URL", help="A bullpen elsewhere, as https://HOST; it takes a token."
    ),
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="T",
        envvar="BULLPEN_TOKEN",
        help="For --url. Better in BULLPEN_TOKEN: other programs see what stands on a command line.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: JSON, as docs/cli.md describes it.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True)
class Where:
    """The bullpen that a command talks to."""

    common: Common
    url: str = ""
    token: str = ""


def where_of(common: Common, url: str, token: str) -> Where:
    """The bullpen that is meant: `--url` and `--token` behind the command, else before it, else from the environment.
    An option that was typed is stronger than a variable."""
    typed_url = common.url if url in ("", os.environ.get("BULLPEN_URL", "")) else ""
    typed_token = common.token if token in ("", os.environ.get("BULLPEN_TOKEN", "")) else ""
    return Where(common, typed_url or url, typed_token or token)


def way_to(where: Where) -> list[str]:
    """The options that lead there again. Never the token."""
    if where.url:
        return ["--url", where.url]
    common = where.common
    named = {"--templates": common.templates, "--config": common.config, "--state": common.state}
    way = [part for option, path in named.items() if path is not None for part in (option, str(path))]
    return way if common.rehearsal is None else [*way, "--rehearsal" if common.rehearsal else "--real"]


@asynccontextmanager
async def reach(where: Where, *, via: str = "command") -> AsyncIterator[RemoteEngine]:
    """The engine of the bullpen that runs there. Raises `NotReached` when none does, `Refused` for a bad address."""
    from supervisor import Refused, RemoteEngine, check_url

    forgive_late_reads(asyncio.get_running_loop())
    if where.url:
        check_url(where.url)
        if not where.token:
            raise Refused(f"{where.url} takes a token: give it in BULLPEN_TOKEN (`bullpen token new` makes one there)")
        async with RemoteEngine(url=where.url, token=where.token, via=via) as engine:
            yield engine
        return
    async with RemoteEngine(socket=await find_socket(where.common), via=via) as engine:
        yield engine


async def find_socket(common: Common) -> Path:
    """The socket of the bullpen that runs over this state directory, in rehearsal or not. Raises `NotReached`."""
    from supervisor import NotReached, RemoteEngine

    folder = settings_of(common).state_dir
    for path in sockets_of(common, folder):
        try:
            async with RemoteEngine(socket=path) as engine:
                await engine.whoami()
        except NotReached:
            continue  # a program that was killed has left it
        return path
    how = " --rehearsal" if common.rehearsal else ""
    raise NotReached(
        f"no bullpen runs{' in rehearsal' if how else ''} over {folder}: start one (`bullpen{how}`, "
        f"`bullpen serve{how}`), or name another with --state or --url"
    )


def is_there(common: Common) -> bool:
    """Whether a bullpen runs over this state directory. Where mistakes in the settings keep that from being known it is
    False: what opens one then tells them together with those of the templates."""
    from supervisor import ConfigurationError, NotReached

    try:
        if not sockets_of(common, settings_of(common).state_dir):
            return False
        anyio.run(find_socket, common)
    except (ConfigurationError, NotReached):
        return False
    return True


def sockets_of(common: Common, folder: Path) -> list[Path]:
    """Sockets that exist below the state directory: of a real run, of a rehearsal, or of both where neither was asked
    for."""
    from supervisor import SOCKET

    places = [folder / "rehearsal"] if common.rehearsal else [folder, folder / "rehearsal"]
    if common.rehearsal is False:
        places = [folder]
    return [path for place in places if os.path.exists(path := place / SOCKET)]


Work = TypeVar("Work", bound=Callable[..., Awaitable[int | None]])


def command(app: typer.Typer, name: str = "") -> Callable[[Work], Work]:
    """Makes a command of an async function whose first argument is the engine. What it returns is the exit code; None
    is 0. The options that say which bullpen is meant are added to its own."""

    def register(work: Work) -> Work:
        own = [*inspect.signature(work).parameters.values()][1:]
        scope = {**vars(typer), **vars(sys.modules[work.__module__])}
        parameters = [_evaluated(one, scope) for one in own] + _WHERE

        def run(context: typer.Context, **given: Any) -> None:
            names = [one.name for one in _WHERE]
            url, token, state, config, rehearsal = (given.pop(each) for each in names)
            where = where_of(Common(None, config, state, rehearsal).over(context.obj or Common()), url, token)
            raise typer.Exit(run_there(where, partial(_call, work, given)))

        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        run.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (first, *parameters)}
        run.__doc__ = work.__doc__
        app.command(name or work.__name__)(run)
        return work

    return register


def _evaluated(parameter: inspect.Parameter, scope: dict[str, Any]) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return parameter.replace(annotation=eval(parameter.annotation, scope), kind=kind)  # our own source


_WHERE = [
    inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation, default=default)
    for name, annotation, default in (
        ("url", UrlOption, ""),
        ("token", TokenOption, ""),
        ("state", StateOption, None),
        ("config", ConfigOption, None),
        ("rehearsal", RehearsalOption, None),
    )
]


async def _call(work: Callable[..., Awaitable[int | None]], given: dict[str, Any], engine: RemoteEngine) -> int:
    return await work(engine, **given) or DONE


def run_there(where: Where, work: Callable[[RemoteEngine], Awaitable[int]], *, via: str = "command") -> int:
    """Reaches the engine and has it done. Tells what goes wrong in one line; returns the exit code."""

    async def run() -> int:
        scope = anyio.CancelScope()
        async with SIGNALS.heeded(scope.cancel, scope.cancel):
            with scope:
                return await _attempt(where, work, via)
        return SIGNALS.exit_code or FAILED

    code = SIGNALS.run(run)
    leave(code)
    return code


def forgive_late_reads(loop: asyncio.AbstractEventLoop) -> None:
    """A read of a socket that is given up in the moment in which something arrives is no mistake: anyio sets the result
    of its wait all the same, which would be a traceback on the terminal. What else goes wrong is handled as before."""
    before = loop.get_exception_handler() or type(loop).default_exception_handler

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        is_late = isinstance(context.get("exception"), asyncio.InvalidStateError)
        if not (is_late and "Future.set_result(None)" in context["message"]):
            before(loop, context)

    loop.set_exception_handler(handle)


async def _attempt(where: Where, work: Callable[[RemoteEngine], Awaitable[int]], via: str) -> int:
    from supervisor import BullpenError, ConfigurationError, NotReached, Refused
    from tui.cli.output import OutputFailed

    try:
        async with reach(where, via=via) as engine:
            return await work(engine)
    except OutputFailed:
        raise
    except (BullpenError, BaseExceptionGroup) as raised:
        error = only(raised)
        if isinstance(error, OutputFailed) or not isinstance(error, BullpenError):
            raise error from None
        for line in str(error).splitlines():
            tell(line)
        if isinstance(error, NotReached):
            return NOT_RUNNING
        return REFUSED if isinstance(error, Refused | ConfigurationError) else FAILED


@asynccontextmanager
async def telling_of_the_line(
    engine: Engine, show: Callable[[str], Awaitable[object]] | None = None
) -> AsyncIterator[None]:
    """Says when nothing arrives from a bullpen in another process, and when it does again, for as long as the block
    lasts. `show` prints the line where `tell` would be in the way."""

    async def say(line: str) -> None:
        if show is None:
            tell(line)
        else:
            await show(line)

    async def look() -> None:
        before = ""
        while True:
            trouble = str(getattr(engine, "trouble", ""))
            if trouble and not before:
                await say(trouble)
            elif before and not trouble:
                await say("connected again")
            before = trouble
            await anyio.sleep(LOOK_SECONDS)

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        yield
        group.cancel_scope.cancel()


async def is_agreed(question: str, facts: list[str], *, is_sure: bool) -> bool:
    """Asks on a terminal before something ends. Without a terminal it takes `--yes`: raises `Refused`."""
    from supervisor import Refused, reveal_line

    if is_sure:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused("nothing was done: this ends something, and there is no terminal to ask on: repeat it with --yes")
    ask_line("".join(f"  {reveal_line(fact)}\n" for fact in facts if fact))
    if (await read_line(f"{reveal_line(question)} [y/N] ")).lower() in ("y", "yes"):
        return True
    tell("nothing was done")
    return False
