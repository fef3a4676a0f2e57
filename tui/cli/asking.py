"""Commands that send prompts: `ask` one, `chat` as many as a person has."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Annotated

import typer
from msgspec.structs import replace

from tui.cli import running_engine
from tui.cli.checking import refuse_unknown, tell_left_out
from tui.cli.opening import load, run, with_credentials
from tui.cli.options import Common, ConfigOption, RehearsalOption, StateOption, TemplatesOption

app = typer.Typer(rich_markup_mode=None)

UserOption = Annotated[
    str, typer.Option("--user", metavar="U", help="On whose behalf. Default: local, or the token's own user.")
]
SessionOption = Annotated[
    str, typer.Option("--session", metavar="S", help="Which conversation. Default: the user's own.")
]
ProviderOption = Annotated[
    str, typer.Option("--provider", metavar="P", help="A provider of bullpen.toml. Default: the agent's own.")
]
ModelOption = Annotated[str, typer.Option("--model", metavar="M", help="A model. Default: the agent's own.")]
INPUT_LIMIT = 4_000_000
"""Bytes of standard input that are read: the longest prompt, in characters of four bytes."""


@app.command()
def ask(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the agent; auto: the one it is for.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to ask; - reads it from standard input.")],
    user: UserOption = "",
    session: SessionOption = "",
    provider: ProviderOption = "",
    model: ModelOption = "",
    as_json: running_engine.JsonOption = False,
    url: running_engine.UrlOption = "",
    token: running_engine.TokenOption = "",
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Asks one agent once. The answer goes to stdout as it is written, everything else to stderr. With --json the whole
    turn goes there when it has ended.

    Where a bullpen runs over the state directory it is asked there; --templates always starts one of its own."""
    from supervisor import AUTO, Prompt
    from tui.cli.ask import ask_once, ask_there
    from tui.cli.logs import log_to_file

    common = Common(templates, config, state, rehearsal).over(context.obj)
    where = running_engine.where_of(common, url, token)
    asked = Prompt(agent, "", user or "local", session, depth=_depth(), provider=provider, model=model)
    if where.url or (common.templates is None and running_engine.is_there(common)):
        words = _read_input() if text == "-" else _as_text(text)
        prompt = replace(asked, text=words, user=user or ("" if where.url else "local"))
        raise typer.Exit(running_engine.run_there(where, partial(ask_there, prompt, as_json=as_json)))
    settings, loaded = load(common)
    if agent not in {AUTO, *(template.name for template in loaded.templates)}:
        refuse_unknown(agent, settings, loaded)
    settings = with_credentials(settings)
    settings.make_state_dir()
    log_to_file(settings.state_dir)
    prompt = replace(asked, text=_read_input() if text == "-" else _as_text(text))
    raise typer.Exit(run(partial(ask_once, loaded.templates, settings, prompt, as_json=as_json)))


@app.command()
def route(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What would be asked; - reads it from standard input.")],
    as_json: running_engine.JsonOption = False,
    url: running_engine.UrlOption = "",
    token: running_engine.TokenOption = "",
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Tells which agent a prompt that names none is for, and why. Sends nothing.

    Where no bullpen runs over the state directory, the templates are asked."""
    from supervisor import choose_agent
    from tui.cli.routing import show_route, show_route_there

    common = Common(templates, config, state, rehearsal).over(context.obj)
    words = _read_input() if text == "-" else _as_text(text)
    where = running_engine.where_of(common, url, token)
    if where.url or (common.templates is None and running_engine.is_there(common)):
        raise typer.Exit(running_engine.run_there(where, partial(show_route_there, words, as_json)))
    settings, loaded = load(common)
    tell_left_out(loaded)
    show_route(choose_agent(words, loaded.templates, default=settings.routing.default), as_json)


@app.command()
def chat(
    context: typer.Context,
    agent: Annotated[
        str, typer.Argument(metavar="AGENT", help="Name of the agent, or a session such as helpdesk/ana/default.")
    ] = "",
    user: UserOption = "",
    session: SessionOption = "",
    provider: ProviderOption = "",
    model: ModelOption = "",
    url: running_engine.UrlOption = "",
    token: running_engine.TokenOption = "",
    templates: TemplatesOption = None,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Talks with one agent. Answers go to stdout as they are written, everything else to stderr.

    Each line of a pipe is a message; it ends at the first one that is not done.

    Where a bullpen runs over the state directory the chat is there; --templates always starts one of its own."""
    from tui.cli.chat.opening import Talk, chat_here, chat_there
    from tui.cli.logs import log_to_file

    common = Common(templates, config, state, rehearsal).over(context.obj)
    where = running_engine.where_of(common, url, token)
    talk = Talk(agent, user, session, running_engine.way_to(where), provider, model)
    if where.url or (common.templates is None and running_engine.is_there(common)):
        talk = replace(talk, user=user or ("" if where.url else "local"))
        raise typer.Exit(running_engine.run_there(where, partial(chat_there, talk)))
    settings, loaded = load(common)
    if agent and agent.partition("/")[0] not in {template.name for template in loaded.templates}:
        refuse_unknown(agent, settings, loaded)
    settings = with_credentials(settings)
    settings.make_state_dir()
    log_to_file(settings.state_dir)
    raise typer.Exit(run(partial(chat_here, loaded.templates, settings, talk)))


def _depth() -> int:
    """How many hooks away from a caller this is: of a program that a hook has started."""
    told = os.environ.get("BULLPEN_HOOK_DEPTH", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 4 else 0


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
