"""How the caches of what is expensive to prepare are doing: frozen values for every reader."""

from __future__ import annotations

from msgspec import Struct


class CacheStatistics(Struct, frozen=True, gc=False):
    """Counts of one cache since bullpen started. Every look-up is a hit or a miss."""

    name: str
    entries: int
    """Values that it holds now."""
    capacity: int
    """Values that it holds at most."""
    ttl: float
    """Seconds a value is kept."""
    hits: int = 0
    """Look-ups that caused no build: the value was there, or was being built for another reader."""
    misses: int = 0
    """Look-ups that caused a build."""
    stale: int = 0
    """Values taken out because something that they were made from has changed."""
    evictions: int = 0
    """Values taken out, the least recently used first, because there was no room."""
    expiries: int = 0
    """Values taken out because their time was over."""
    failures: int = 0
    """Builds that failed, or were given up. Nothing of them is kept."""
    build_seconds: float = 0.0
    """Seconds that all builds together took, failed ones included."""
    last_build_seconds: float = 0.0
    """Seconds that the last build took."""
    bytes: int = 0
    """Bytes of the values that it holds, estimated."""

    @property
    def hit_rate(self) -> float | None:
        """Share of look-ups that were hits, from 0 to 1; None before the first look-up."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else None


class ContextRow(Struct, frozen=True, gc=False):
    """What all clients of one version of a template are started with, prepared once (S4.13)."""

    key: str
    """`{tenant}:{project}:{mode}`: the instance, the folder that its template belongs to, and its archetype."""
    instance: str
    version: str
    """Content hash of everything in it."""
    tools: tuple[str, ...]
    """Names of the tools that it says, those of functions and shared servers included; empty for none."""
    names_tools: bool
    """False: the template leaves the tools of the CLI as they are."""
    skills: tuple[str, ...]
    tools_hash: str
    skills_hash: str
    prompt_characters: int
    """Characters of its system prompt."""
    created_at: float
    """Unix seconds."""
    last_used_at: float
    """Unix seconds: when a client was last started with it, or when it was made."""
    ttl: float
    """Seconds after its last use, from which on it is prepared anew."""
    uses: int
    """Clients that were started with it."""
    build_seconds: float
    bytes: int
    """Estimated."""


class Contexts(Struct, frozen=True, gc=False):
    """The prepared contexts, and counts of the caches that hold them."""

    contexts: tuple[ContextRow, ...]
    """By instance."""
    caches: tuple[CacheStatistics, ...]
