"""`bullpen hooks`: what is done when something happens, what became of it, and a try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tui.cli.exit_codes import FAILED
from tui.cli.lists_by_default import ListsByDefault
from tui.cli.running_engine import JsonOption, command
from tui.cli.tables import show_listing

if TYPE_CHECKING:
    from supervisor import Engine

app = typer.Typer(
    name="hooks",
    cls=ListsByDefault,
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What is done when something happens.",
)


@command(app, "list")
async def list_hooks(engine: Engine, as_json: JsonOption = False) -> None:
    """Every hook in its order, and how often each has fired."""
    show_listing("hooks", await engine.hooks(), as_json=as_json)


@command(app)
async def recent(
    engine: Engine,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000, help="How many, the latest ones.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """What hooks, gates and schedules did last, the newest first."""
    show_listing("hook-runs", await engine.hook_runs(count), as_json=as_json)


@command(app, "test")
async def try_event(
    engine: Engine,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The name of an event, such as prompt:after.")],
    as_json: JsonOption = False,
) -> int:
    """Runs the hooks on an event with a sample. Programs run, requests and prompts are sent. Exits 1 when
    something of it failed."""
    from supervisor import RunState

    runs = await engine.test_hook(event)
    show_listing("hook-runs", runs, as_json=as_json)
    return FAILED if any(run.state is RunState.FAILED for run in runs) else 0
