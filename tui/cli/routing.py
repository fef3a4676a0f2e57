"""`bullpen route`: which agent a text is for, and why."""

from __future__ import annotations

from supervisor import Engine, Route
from tui.cli.exit_codes import DONE
from tui.cli.output import say
from tui.cli.tables import show_json


async def show_route_there(text: str, as_json: bool, engine: Engine) -> int:
    """Raises what `Engine.route` raises."""
    show_route(await engine.route(text), as_json)
    return DONE


def show_route(route: Route, as_json: bool) -> None:
    """The agent by itself on the first line: `bullpen route TEXT | head -1`."""
    if as_json:
        show_json(route)
        return
    say(route.agent)
    say(f"  {_why(route.score, route.reason)}")
    for one in route.others:
        say(f"not {one.agent}")
        say(f"  {_why(one.score, one.reason)}")


def _why(score: float, reason: str) -> str:
    return f"score {score:.2f}: {reason}" if score else reason
