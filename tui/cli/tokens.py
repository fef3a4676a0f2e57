"""`bullpen token`: makes, lists and takes back the tokens by which programs and people come in over the network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from supervisor import Role, Token, TokenFile
from tui.cli.exit_codes import REFUSED
from tui.cli.lists_by_default import ListsByDefault
from tui.cli.options import Common, ConfigOption, RehearsalOption, StateOption, settings_of
from tui.cli.output import say, tell

app = typer.Typer(
    name="token",
    cls=ListsByDefault,
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Tokens for programs and people that come in over the network.",
)
UserOption = Annotated[
    str, typer.Option("--user", metavar="U", help="For one user: that user's sessions and no other.")
]
AgentOption = Annotated[str, typer.Option("--agent", metavar="A", help="For one agent only.")]
NameOption = Annotated[
    str, typer.Option("--name", metavar="NAME", help="What it is called in `token list` and `audit`.")
]


@app.command("new")
def new(
    context: typer.Context,
    user: UserOption = "",
    agent: AgentOption = "",
    name: NameOption = "",
    operator: Annotated[bool, typer.Option("--operator", help="For an operator: everything.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Sees everything, changes nothing.")] = False,
    delegate: Annotated[
        bool, typer.Option("--delegate", help="For a trusted program that sends prompts for any user.")
    ] = False,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Makes a token and prints it, this once: it is kept as a hash."""
    wanted = [
        role
        for role, is_wanted in (
            (Role.USER, bool(user)),
            (Role.OPERATOR, operator),
            (Role.READ_ONLY, read_only),
            (Role.DELEGATE, delegate),
        )
        if is_wanted
    ]
    if len(wanted) != 1:
        tell("say for whom: one of --user U, --operator, --read-only, --delegate")
        raise typer.Exit(REFUSED)
    token, text = _file(context, config, state, rehearsal).add(wanted[0], name, user=user, agent=agent)
    tell(f"token {token.id} ({_describe(token)}): it is shown this once")
    say(text)


@app.command("list")
def list_tokens(
    context: typer.Context,
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Every token: what it is for, and when it was used last."""
    found = _file(context, config, state, rehearsal).all()
    for token in found:
        used = _moment(token.last_used_at) if token.last_used_at is not None else "never used"
        say(f"{token.id}  {token.name:<20}  {_describe(token):<32}  made {_moment(token.created_at)}  {used}")
    if not found:
        tell("there are no tokens: bullpen token new makes one")


@app.command("revoke")
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, or its name.")],
    config: ConfigOption = None,
    state: StateOption = None,
    rehearsal: RehearsalOption = None,
) -> None:
    """Takes a token back, at once."""
    token = _file(context, config, state, rehearsal).revoke(name)
    tell(f"revoked {token.id} ({token.name})")


def _file(context: typer.Context, config: Path | None, state: Path | None, rehearsal: bool | None) -> TokenFile:
    settings = settings_of(Common(None, config, state, rehearsal).over(context.obj or Common()))
    settings.make_state_dir()
    return TokenFile(settings.state_dir)


def _describe(token: Token) -> str:
    whose = f"user {token.user}" if token.user else token.role.value
    return f"{whose}, agent {token.agent}" if token.agent else whose


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
