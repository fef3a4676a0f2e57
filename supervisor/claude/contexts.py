"""What all clients of a template are started with: prepared once for each version, and used by every start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from supervisor.api.caches import CacheStatistics, ContextRow, Contexts
from supervisor.claude.options import CompiledOptions
from supervisor.clock import Clock
from supervisor.config.agent_choice import describe_for_routing
from supervisor.config.hooks import project_of
from supervisor.config.template import Template
from supervisor.in_thread import run_in_thread
from supervisor.routing.index import Described
from supervisor.tools.cache import Cache, Key, Sources
from supervisor.tools.content import canonical, content_hash

TTL = 1800.0
"""Seconds after its last use (S4.14)."""
CAPACITY = 256
"""Contexts that are held: one for each template, mostly."""
MOST_PREPARED = 4
"""Versions of one instance that are not held yet: two at once where a template and the tools of a server change."""


@dataclass(frozen=True)
class AgentContext:
    """Frozen, and without anything of a session or a run (S4.13-15)."""

    key: str
    """`{tenant}:{project}:{mode}`."""
    options: CompiledOptions = field(repr=False)
    """The arguments of the SDK, the environment, the system prompt, the servers."""
    tools: tuple[str, ...] | None
    """Tool definitions by name; None leaves those of the CLI as they are."""
    skills: tuple[str, ...]
    router: Described = field(repr=False)
    """What prompts that name no agent are compared with."""
    tools_hash: str
    skills_hash: str
    created_at: float
    """Unix seconds."""
    ttl: float = TTL
    build_seconds: float = 0.0

    @property
    def system_prompt(self) -> str:
        return self.options.prompt

    @property
    def version(self) -> str:
        """Covers everything that clients are told."""
        return self.options.digest


class _Use(NamedTuple):
    starts: int
    last_at: float
    """Unix seconds."""


class _Prepared(NamedTuple):
    key: Key
    context: AgentContext
    sources: tuple[str, ...]


Compile = Callable[[Template], CompiledOptions]


class ContextStore:
    """Compiled contexts of one supervisor's agents. Starting a client looks its context up; it is compiled only when
    the version is new or its time is over."""

    def __init__(self, sources: Sources | None = None, clock: Clock | None = None) -> None:
        """`sources` is shared with the caches of what contexts are made from."""
        self.sources = sources or Sources()
        self._clock = clock or Clock()
        self._cache: Cache[AgentContext] = Cache(
            "contexts",
            capacity=CAPACITY,
            ttl=TTL,
            sources=self.sources,
            measure=_measure,
            identify=lambda context: context.version,
            is_kept_by_use=True,
            steady=self._clock.steady,
        )
        self._versions: dict[str, str] = {}
        """Instance → the version that its clients are started with."""
        self._prepared: dict[tuple[str, str], _Prepared] = {}
        """(Instance, version) → what is not held yet, the latest last."""
        self._lock = threading.Lock()
        """Versions are prepared in threads, several at once."""
        self._uses: dict[Key, _Use] = {}

    def prepare(self, template: Template, compile_options: Compile, sources: Iterable[str]) -> AgentContext:
        """Compiles a version of the template; its clients have it once it is `hold`. Blocking. Raises
        `ConfigurationError`."""
        context = self._make(template, compile_options)
        with self._lock:
            self._prepared.pop((template.name, context.version), None)
            self._prepared[template.name, context.version] = _Prepared(find_key(template), context, tuple(sources))
            for earlier in [one for one in self._prepared if one[0] == template.name][:-MOST_PREPARED]:
                del self._prepared[earlier]
        return context

    def hold(self, instance: str, version: str) -> None:
        """Makes this version, prepared before, the one that new clients of the instance start with."""
        with self._lock:
            found = self._prepared.pop((instance, version), None)
        if found is None or self._versions.get(instance) == version:
            return
        self._versions[instance] = version
        sources, seconds = [*found.sources, source_of(instance)], found.context.build_seconds
        self.sources.change(source_of(instance))
        self._cache.put(found.key, found.context, version=version, sources=sources, seconds=seconds)

    async def use(
        self, template: Template, compile_options: Compile, sources: Iterable[str], version: str
    ) -> AgentContext | None:
        """The context that a client of that version starts with; None when the instance holds another version by now,
        because no turn will begin on that client. Raises `ConfigurationError`."""
        if self._versions.get(template.name, version) != version:
            return None
        key = find_key(template)

        async def build() -> AgentContext:
            return await run_in_thread(partial(self._make, template, compile_options))

        named = [*sources, source_of(template.name)]
        context = await self._cache.get(key, build, version=version, sources=named)
        before = self._uses.get(key)
        self._uses[key] = _Use(1 + (before.starts if before else 0), self._clock.wall())
        return context

    def drop(self, instance: str) -> None:
        """Removes everything that is prepared for an instance that no longer exists."""
        self._cache.drop_tenant(instance)
        self._versions.pop(instance, None)
        with self._lock:
            for unused in [one for one in self._prepared if one[0] == instance]:
                del self._prepared[unused]
        self._uses = {key: use for key, use in self._uses.items() if key.tenant != instance}

    def describe(self) -> Contexts:
        rows = [self._describe(key, context) for key, context in self._cache.items()]
        return Contexts(tuple(sorted(rows, key=lambda row: row.key)), self.statistics())

    def statistics(self) -> tuple[CacheStatistics, ...]:
        """Counts of this cache, and of all caches with the same sources."""
        return self.sources.statistics()

    def _make(self, template: Template, compile_options: Compile) -> AgentContext:
        began = time.perf_counter()
        options = compile_options(template)
        offered = tuple(sorted(f"{source.name} {source.version}" for source in options.tools.sources))
        named = options.arguments.get("tools")
        tools = None if named is None and not offered else (*(named or ()), *_names(options))
        skills = tuple(options.arguments.get("skills", ()))
        return AgentContext(
            ":".join(map(str, (template.name, project_of(template.path), template.archetype))),
            options,
            tools,
            skills,
            describe_for_routing(template),
            tools_hash=content_hash([named, options.arguments["disallowed_tools"], options.servers, offered]),
            skills_hash=content_hash([skills, options.arguments.get("plugins", ())]),
            created_at=self._clock.wall(),
            build_seconds=time.perf_counter() - began,
        )

    def _describe(self, key: Key, context: AgentContext) -> ContextRow:
        use = self._uses.get(key, _Use(0, context.created_at))
        return ContextRow(
            key=context.key,
            instance=key.tenant,
            version=context.version,
            tools=context.tools or (),
            names_tools=context.tools is not None,
            skills=context.skills,
            tools_hash=context.tools_hash,
            skills_hash=context.skills_hash,
            prompt_characters=len(context.system_prompt),
            created_at=context.created_at,
            last_used_at=max(use.last_at, context.created_at),
            ttl=context.ttl,
            uses=use.starts,
            build_seconds=context.build_seconds,
            bytes=_measure(context),
        )


def find_key(template: Template) -> Key:
    """An instance is a tenant: nothing that is prepared for one is used for another."""
    return Key(template.name, (str(project_of(template.path)), str(template.archetype)))


def source_of(instance: str) -> str:
    """The template of an instance, as a source."""
    return f"template:{instance}"


def _names(options: CompiledOptions) -> tuple[str, ...]:
    return tuple(f"mcp__{source.name}" for source in options.tools.sources)


def _measure(context: AgentContext) -> int:
    options = context.options
    return len(canonical([options.arguments, options.environment, options.prompt, options.servers]))
