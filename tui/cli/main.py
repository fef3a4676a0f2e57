"""The command line. Errors are one clear line and a documented exit code, never a traceback."""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
from functools import partial
from typing import Annotated

import typer

from tui.cli import running_engine
from tui.cli.command_modules import CommandsGroup
from tui.cli.errors import only
from tui.cli.examples import add_examples, show_examples
from tui.cli.exit_codes import FAILED, INTERNAL_ERROR, READER_GONE, REFUSED
from tui.cli.opening import check_terminal, fail, load, run, with_credentials
from tui.cli.options import (
    Common,
    ConfigOption,
    ListenOption,
    RehearsalOption,
    StateOption,
    TemplatesOption,
    settings_of,
)
from tui.cli.output import OutputFailed, ReaderGone, flush, give_up, open_streams, say, tell
from tui.cli.signals import SIGNALS
from tui.cli.threads import leave

ONLY_HERE = ("demo", "serve", "check", "doctor", "forget", "token", "completion")
"""Commands that look at this machine, or open a bullpen here."""

app = typer.Typer(
    name="bullpen",
    cls=CommandsGroup,
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pools of Claude agents in one terminal: watched, chatted with and kept in order.",
    epilog=show_examples(""),
)


@app.callback(invoke_without_command=True)
def dashboard(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
    listen: ListenOption = "",
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="For the command that follows: a bullpen elsewhere.")
    ] = "",
    token: Annotated[str, typer.Option("--token", metavar="T", help="For --url. Better in BULLPEN_TOKEN.")] = "",
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Without a command: opens the dashboard, with the supervisor inside it."""
    if version:
        from supervisor import __version__

        say(f"bullpen {__version__}")
        raise typer.Exit
    context.obj = Common(templates, config, state, rehearsal, listen, url, token)
    if (url or token) and context.invoked_subcommand in (None, *ONLY_HERE):
        raise typer.BadParameter(
            f"{'--url' if url else '--token'} is for commands that ask a running bullpen, and for bullpen attach"
        )
    if context.invoked_subcommand is None:
        _open_dashboard(context.obj)


@app.command()
def demo(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    listen: ListenOption = "",
    stand_in: Annotated[
        bool,
        typer.Option(
            help="Whether a stand-in answers what you leave lying for a minute, so that nothing comes to a halt."
        ),
    ] = True,
) -> None:
    """The dashboard in rehearsal, with simulated callers. No key, no network, no questions asked."""
    common = Common(templates, config, state, True, listen).over(context.obj)
    _open_dashboard(common, with_callers=True, with_stand_in=stand_in)


@app.command()
def serve(
    context: typer.Context,
    listen: ListenOption = "",
    callers: Annotated[bool, typer.Option("--callers", help="With simulated callers, in rehearsal.")] = False,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Runs without a screen. For systemd, for programs, and for dashboards that attach to it."""
    from tui.cli.logs import log_to_file
    from tui.cli.serve import log_to_stderr, serve

    common = Common(templates, config, state, rehearsal, listen).over(context.obj)
    settings, loaded = load(common)
    settings = with_credentials(settings)
    if callers and not settings.rehearsal:
        fail("--callers simulates users, which is for --rehearsal alone")
    settings.make_state_dir()
    log_to_file(settings.state_dir)
    log_to_stderr()
    raise typer.Exit(run(partial(serve, loaded, settings, with_callers=callers)))


@app.command()
def attach(
    context: typer.Context,
    url: running_engine.UrlOption = "",
    token: running_engine.TokenOption = "",
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """The dashboard over a bullpen that runs already. Leaving it ends nothing; several may be open."""
    from tui.cli.attach import LOG, attach_from_terminal
    from tui.cli.logs import log_to_file

    common = Common(None, config, state, rehearsal).over(context.obj)
    settings = settings_of(common)
    check_terminal()
    settings.make_state_dir()
    log_to_file(settings.state_dir, LOG)
    raise typer.Exit(attach_from_terminal(running_engine.where_of(common, url, token), settings))


def _open_dashboard(common: Common, *, with_callers: bool = False, with_stand_in: bool = False) -> None:
    settings, loaded = load(common)
    settings = with_credentials(settings)
    check_terminal()
    from tui.cli.logs import log_to_file
    from tui.cli.run import run_dashboard

    settings.make_state_dir()
    log_to_file(settings.state_dir)
    work = partial(run_dashboard, loaded, settings, with_callers=with_callers, with_stand_in=with_stand_in)
    raise typer.Exit(run(work))


add_examples(app)


def main() -> None:
    """The `bullpen` command."""
    SIGNALS.listen()
    open_streams()
    try:
        code = app(prog_name="bullpen", standalone_mode=False) or 0
        try:
            flush()
        except OutputFailed:
            # A terminal that was closed takes nothing any more: the code says already how it ended.
            give_up(sys.stdout)
            if code == 0:
                raise
    except Exception as error:
        code = _report(error)
    leave(code, at_once=SIGNALS.exit_code is not None)
    raise SystemExit(code)


def _report(error: BaseException) -> int:
    """One line for each mistake. Anything that is not a known mistake is ours: its traceback goes to the log."""
    from supervisor import BullpenError, ConfigurationError

    error = only(error)
    if isinstance(error, OutputFailed):
        give_up(sys.stdout)
    match error:
        case ReaderGone():
            return READER_GONE
        case ConfigurationError(mistakes=mistakes):
            for mistake in mistakes:
                tell(mistake)
        case BullpenError():
            tell(str(error))
        case typer.Abort():
            tell("given up")
            return FAILED  # a question of ours was answered with the end of input
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "bullpen"
            _say_plainly(error)
            tell(f"{error.format_message()} ({path} --help says what there is)")
            return error.exit_code
        case _:
            tell(f"internal error: {f'{error!r}'[:500]}; the details are in {_keep_details(error)}")
            return INTERNAL_ERROR
    return REFUSED


def _say_plainly(error: typer.TyperException) -> None:
    """A value of the wrong kind is told as one in a file is, in place of pydantic's words."""
    if (details := getattr(error.__cause__, "errors", None)) is not None:
        from supervisor import describe_value

        error.message = describe_value(details()[0])


def _keep_details(error: BaseException) -> str:
    """Writes the traceback where it can be found. Returns the place."""
    if logging.getLogger().handlers:
        logging.getLogger(__name__).critical("internal error", exc_info=error)
        return "logs/bullpen.log of the state"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bullpen-", suffix=".log", delete=False, encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)).encode(errors="replace").decode())
    except OSError:
        return "no file: none can be written"
    return file.name
