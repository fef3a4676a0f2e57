"""The command line. Errors are one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor import show_name
from tui.cli import acp, house, looking, tokens, verbs
from tui.cli.options import (
    Common,
    ConfigOption,
    ListenOption,
    RehearsalOption,
    StateOption,
    TemplatesOption,
    settings_of,
)
from tui.cli.output import READER_GONE, OutputFailed, ReaderGone, flush, give_up, open_streams, say, tell
from tui.cli.signals import SIGNALS
from tui.cli.threads import leave

if TYPE_CHECKING:
    from supervisor import Loaded, Settings

USAGE = 2
"""Exit code for bad input."""
INTERNAL_ERROR = 70
"""Exit code when the mistake is ours (EX_SOFTWARE)."""
GIVEN_UP = 1
"""A question of ours was answered with the end of input."""

NO_TERMINALS = ("", "dumb", "unknown")
"""What TERM says where nothing can be drawn. Any other name is believed: new terminals are in no list."""
INPUT_LIMIT = 4_000_000
"""Bytes of standard input that are read: the longest prompt, in characters of four bytes."""
DESCRIPTION = 300
"""Characters of a template's description in the list of `check`."""
WALL = 300
"""Characters of the line that tells of one wall."""
MOST_NOTES = 1_000
"""Lines of notes that `check` prints."""

app = typer.Typer(
    name="bullpen",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pools of Claude agents in one terminal: watched, chatted with and kept in order.",
)


@app.callback(invoke_without_command=True)
def dashboard(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
    listen: ListenOption = "",
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Without a command: opens the dashboard, with the supervisor inside it."""
    if version:
        from supervisor import __version__

        say(f"bullpen {__version__}")
        raise typer.Exit
    context.obj = Common(templates, config, state, rehearsal, listen)
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
    settings, loaded = _load(common)
    settings = _with_credentials(settings)
    if callers and not settings.rehearsal:
        _fail("--callers simulates users, which is for --rehearsal alone")
    settings.make_state_dir()
    log_to_file(settings.state_dir)
    log_to_stderr()
    raise typer.Exit(_run(partial(serve, loaded, settings, with_callers=callers)))


@app.command()
def attach(
    context: typer.Context,
    url: house.UrlOption = "",
    token: house.TokenOption = "",
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """The dashboard over a bullpen that runs already. Leaving it ends nothing; several may be open."""
    from tui.cli.attach import LOG, attach_from_terminal
    from tui.cli.logs import log_to_file

    common = Common(None, config, state, rehearsal).over(context.obj)
    settings = settings_of(common)
    _check_terminal()
    settings.make_state_dir()
    log_to_file(settings.state_dir, LOG)
    raise typer.Exit(attach_from_terminal(house.Where(common, url, token), settings))


@app.command()
def ask(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent, as in its template.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to ask; - reads it from standard input.")],
    user: Annotated[
        str, typer.Option("--user", metavar="U", help="On whose behalf. Default: local, or the token's own user.")
    ] = "",
    session: Annotated[
        str, typer.Option("--session", metavar="S", help="Which conversation. Default: the user's own.")
    ] = "",
    url: house.UrlOption = "",
    token: house.TokenOption = "",
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Asks one agent once. The answer goes to stdout as it is written, everything else to stderr.

    Where a bullpen runs over the state directory it is asked there; --templates always starts one of its own."""
    from supervisor import Prompt
    from tui.cli.ask import ask_once, ask_there
    from tui.cli.logs import log_to_file

    common = Common(templates, config, state, rehearsal).over(context.obj)
    where = house.Where(common, url, token)
    if url or (common.templates is None and house.is_there(common)):
        words = _read_input() if text == "-" else _as_text(text)
        whose = user or ("" if url else "local")
        prompt = Prompt(agent=agent, text=words, user=whose, session=session)
        raise typer.Exit(house.run_there(where, partial(ask_there, prompt)))
    settings, loaded = _load(common)
    if agent not in {template.name for template in loaded.templates}:
        _tell_left_out(loaded)
    settings = _with_credentials(settings)
    settings.make_state_dir()
    log_to_file(settings.state_dir)
    words = _read_input() if text == "-" else _as_text(text)
    prompt = Prompt(agent=agent, text=words, user=user or "local", session=session)
    raise typer.Exit(_run(partial(ask_once, loaded.templates, settings, prompt)))


@app.command()
def check(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Validates templates and configuration. Every mistake stands on a line of its own, with file and line."""
    settings, loaded = _load(Common(templates, config, state, rehearsal).over(context.obj))
    good = _count(len(loaded.templates), "template")
    where = show_name(settings.templates_dir)
    if loaded.left_out:
        say(f"{good} in {where} can run, {_count(loaded.files_left_out, 'file')} cannot")
    else:
        say(f"{good} in {where}: all good")
    _list_templates(settings, loaded)
    if loaded.left_out:
        flush()
        _tell_left_out(loaded)
        raise typer.Exit(USAGE)


def _list_templates(settings: Settings, loaded: Loaded) -> None:
    from supervisor import describe_walls, find_unseen, missing_skills, name_unseen, one_line

    environment = {"CLAUDE_CONFIG_DIR": str(settings.state_dir / "claude")} if settings.rehearsal else {}
    for template in loaded.templates:
        name = show_name(template.name)
        say(f"  {name:<16} {template.archetype:<9} {one_line(template.description, DESCRIPTION)}")
        if template.slug != template.name:
            say(f"      variables: BULLPEN_{template.slug.upper().replace('-', '_')}_…; directory: {template.slug}")
        for line in describe_walls(template):
            say(f"      {one_line(line, WALL)}")
        for line in missing_skills(template, environment):
            say(f"  note: {line}")
        if unseen := dict.fromkeys(map(name_unseen, find_unseen(template.description))):
            say(
                f"  note: {show_name(template.path.name)}: description holds {' '.join([*unseen][:10])}, not shown here"
            )
    for line in loaded.notes[:MOST_NOTES]:
        say(f"  note: {line}")
    if (more := len(loaded.notes) - MOST_NOTES) > 0:
        say(f"  note: and {more:,} more")


def _tell_left_out(loaded: Loaded) -> None:
    for line in loaded.left_out:
        tell(line)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


@app.command()
def doctor(
    context: typer.Context,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Looks at what bullpen needs here. SDK and CLI, credentials, memory, terminal."""
    from supervisor import examine

    settings = settings_of(Common(templates, config, state, rehearsal).over(context.obj))
    is_good = True
    for finding in examine(settings):
        is_good = is_good and finding.is_good
        say(f"{'ok ' if finding.is_good else 'BAD'}  {finding.subject:<12} {finding.text}")
    raise typer.Exit(0 if is_good else 1)


@app.command()
def forget(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id, as in --user of `ask`.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Removes a person. Every session of that user, what was said in it, and its files, in rehearsal as well."""
    from tui.cli.forget import forget_from_terminal

    folder = settings_of(Common(templates, config, state, rehearsal).over(context.obj)).state_dir
    raise typer.Exit(forget_from_terminal(folder, user, is_trial=dry_run, is_sure=yes))


def _open_dashboard(common: Common, *, with_callers: bool = False, with_stand_in: bool = False) -> None:
    settings, loaded = _load(common)
    settings = _with_credentials(settings)
    _check_terminal()
    from tui.cli.logs import log_to_file
    from tui.cli.run import run_dashboard

    settings.make_state_dir()
    log_to_file(settings.state_dir)
    work = partial(run_dashboard, loaded, settings, with_callers=with_callers, with_stand_in=with_stand_in)
    raise typer.Exit(_run(work))


def _check_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        _fail("the dashboard needs a terminal; `bullpen ask AGENT TEXT` works without one")
    if (name := os.environ.get("TERM", "")) in NO_TERMINALS:
        _fail(
            f"the dashboard needs a terminal that can be drawn on, and TERM is {name or 'not set'}; "
            "`bullpen ask AGENT TEXT` works on any"
        )


def _load(common: Common) -> tuple[Settings, Loaded]:
    from supervisor import load_for

    settings = settings_of(common)
    return settings, load_for(settings)


def _with_credentials(settings: Settings) -> Settings:
    """The settings as they are when there is something to log in with, else rehearsal, if the operator agrees."""
    from supervisor import find_credentials

    if settings.rehearsal or find_credentials(os.environ):
        return settings
    line = "no credentials found (looked for ANTHROPIC_API_KEY, tokens, Bedrock, Vertex and a login of `claude`)"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        _fail(f"{line}; set one, or use --rehearsal")
    tell(line)
    if not typer.confirm("Open it in rehearsal instead (scripted replies, no key needed)?", default=True, err=True):
        raise typer.Exit(USAGE)
    return settings.model_copy(update={"rehearsal": True})


def _run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    code = SIGNALS.run(work)
    leave(code)
    return code


def _fail(line: str) -> None:
    tell(line)
    raise typer.Exit(USAGE)


def _read_input() -> str:
    """The prompt on standard input. Raises `InvalidPrompt` when it is no text, or far longer than any prompt."""
    from supervisor import InvalidPrompt

    try:
        raw = sys.stdin.buffer.read(INPUT_LIMIT + 1)
        if len(raw) > INPUT_LIMIT:
            raise InvalidPrompt(f"standard input holds more than {INPUT_LIMIT:,} bytes: no prompt may be that long")
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidPrompt(f"standard input is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InvalidPrompt(f"standard input cannot be read: {error.strerror}") from error


def _as_text(argument: str) -> str:
    """An argument as UTF-8, whatever the locale made of its bytes. Raises `InvalidPrompt`."""
    from supervisor import InvalidPrompt

    try:
        return os.fsencode(argument).decode()
    except UnicodeError as error:
        raise InvalidPrompt("TEXT is not UTF-8 text") from error


for _room in (looking, verbs, acp, tokens):
    app.add_typer(_room.app)


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

    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
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
            return GIVEN_UP
        case typer.TyperException():
            tell(f"{error.format_message()} (bullpen --help says what there is)")
            return error.exit_code
        case _:
            tell(f"internal error: {f'{error!r}'[:500]}; the details are in {_keep_details(error)}")
            return INTERNAL_ERROR
    return USAGE


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
