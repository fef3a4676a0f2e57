"""Decides which agent a text is for, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from supervisor.api.errors import NoAgentMatches
from supervisor.api.prompts import Route
from supervisor.routing.index import Described, RoutingIndex

MOST_OTHERS = 5
MOST_NAMED = 10


FindIndex = Callable[[tuple[Described, ...]], RoutingIndex]


class Router:
    def __init__(self, find_index: FindIndex = RoutingIndex) -> None:
        """`find_index` gives the index of these agents, made just now or before."""
        self._find_index = find_index

    def choose(self, text: str, agents: Iterable[Described], *, default: str = "") -> Route:
        """Among these agents and no other. Raises `NoAgentMatches`."""
        described = tuple(agents)
        if len(described) == 1:
            return Route(described[0].name, 0.0, "there is no other agent")
        found = self._find_index(described).find(text)
        if found:
            best, others = found[0], tuple(found[1 : 1 + MOST_OTHERS])
            ties = [one.agent for one in others if one.score == best.score]
            reason = best.reason + (f" (as well as {', '.join(ties)}: the first by name)" if ties else "")
            return Route(best.agent, best.score, reason, others)
        names = sorted(one.name for one in described)
        if default and default in names:
            return Route(
                default, 0.0, "nothing in the text matches an agent: it is the default ([routing] in bullpen.toml)"
            )
        listed = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
        remedy = f"name one ({listed})" if names else "there is none"
        missing = f"; the default, {default}, does not run" if default else " or set [routing] default in bullpen.toml"
        raise NoAgentMatches(f"no agent matches this prompt: {remedy}{missing}")


def kept(route: Route) -> Route:
    """The route as it is recorded with the prompt: without the other candidates."""
    return replace(route, others=())
