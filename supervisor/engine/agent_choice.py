"""Which agent gets a prompt that names none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from supervisor.api.addressing import EMPLOYEE_USER
from supervisor.api.prompts import AUTO, Prompt, Route
from supervisor.claude.contexts import source_of
from supervisor.config.agent_choice import describe_for_routing
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.routing.index import Described, RoutingIndex
from supervisor.routing.router import Router
from supervisor.tools.cache import Cache, Key

KEPT = 16
"""Indexes: of all agents, and of the few that tokens or callers limit a choice to."""
TTL = 1800.0
"""Seconds."""


class AgentChoice:
    """Every instance takes part, whatever state it is in: a prompt for one that is drained is refused, and not given to
    another that it is not for."""

    def __init__(self, instances: Mapping[str, Instance], host: HostContext) -> None:
        self._instances = instances
        self._host = host
        self._indexes: Cache[RoutingIndex] = Cache(
            "routing", capacity=KEPT, ttl=TTL, sources=host.caches, measure=lambda index: index.size
        )
        self._router = Router(self._find_index)

    def _find_index(self, described: tuple[Described, ...]) -> RoutingIndex:
        sources = [source_of(one.name) for one in described]
        return self._indexes.get_now(Key("", described), lambda: RoutingIndex(described), sources=sources)

    def close(self) -> None:
        for key in self._indexes.list_keys():
            self._indexes.drop(key)

    def names_none(self, prompt: Prompt) -> bool:
        return prompt.agent == "" or (prompt.agent == AUTO and AUTO not in self._instances)

    def route(self, text: str, agents: tuple[str, ...] = ()) -> Route:
        """Chooses one of these agents for the text, or one of all when `agents` is empty. Raises `NoAgentMatches`."""
        described = (
            describe_for_routing(instance.template)
            for name, instance in self._instances.items()
            if not agents or name in agents
        )
        return self._router.choose(text, described, default=self._host.settings.routing.default)

    def complete(self, prompt: Prompt) -> Prompt:
        """The prompt with the agent that was chosen for it, and why. Raises `NoAgentMatches`."""
        found = self._find_conversation(prompt) if prompt.session else None
        route = found or self.route(prompt.text)
        return replace(prompt, agent=route.agent, route=replace(route, others=()))

    def _find_conversation(self, prompt: Prompt) -> Route | None:
        """The user's session of that name, of several the one that was used last."""
        if prompt.user == EMPLOYEE_USER:
            return None
        rows = [
            session
            for instance in self._instances.values()
            for session in instance.sessions.values()
            if session.key[1:] == (prompt.user, prompt.session)
        ]
        if not rows:
            return None
        latest = max(rows, key=lambda row: (row.last_activity_at, row.key))
        return Route(latest.key.instance, 0.0, f"the conversation {latest.key.session} is with it")
