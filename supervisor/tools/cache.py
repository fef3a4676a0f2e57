"""Values that are expensive to build, built once and shared: by least recent use and by time, and gone with an edit.

    cache = Cache("tools", capacity=64, ttl=300.0, sources=sources)
    definitions = await cache.get(Key("helpdesk", "tools"), build, version=digest_of_what_the_template_says)
    sources.change("file:/templates/helpdesk.md")       # every value that was made from it is stale, in every cache

What a reader gets is never older than the last edit before it gets it: a value is stale as soon as one of its sources
has changed, also when it was still being built then; it is built again before any reader sees it. A value is itself a
source (`Cache.source`): what was made from it goes with it.

Everything here belongs to one event loop, and nothing but `build` is awaited.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import anyio
from cachetools import Cache as BaseCache
from cachetools import LRUCache, TTLCache

from supervisor.api.caches import CacheStatistics

ValueT = TypeVar("ValueT")

REMEMBERED = 4
"""Values of which is known what they were made from, and their content hash, for each that a cache may hold."""


class Key(NamedTuple):
    """Equal content of two tenants is kept twice: neither sees, or evicts by an edit, what is the other's."""

    tenant: str
    """For whom: the instance, mostly. Empty for what all share."""
    name: Hashable
    """Of the value among those of that tenant."""


class Built(NamedTuple, Generic[ValueT]):
    """The result of a build that finds out by itself what the value was made from."""

    value: ValueT
    sources: Iterable[str] = ()


Build = Callable[[], Awaitable[ValueT | Built[ValueT]]]


class Sources:
    """What cached values are made from (files, lists of servers, other values), by name, and the caches to tell of a
    change."""

    def __init__(self) -> None:
        self._caches: list[Cache[Any]] = []
        self._changes = 0
        self._changed: dict[str, int] = {}
        """Source → number of its last change: as far back as the oldest build that runs."""
        self._building = 0

    @property
    def now(self) -> int:
        """The number of the last change of any source."""
        return self._changes

    def add(self, cache: Cache[Any]) -> None:
        self._caches.append(cache)

    def statistics(self) -> tuple[CacheStatistics, ...]:
        """Counts of every cache with these sources."""
        return tuple(cache.statistics() for cache in self._caches)

    def clean(self) -> int:
        """Takes out of every cache what has expired. Returns how many values that were."""
        return sum(cache.clean() for cache in self._caches)

    def change(self, source: str) -> int:
        """The source is not what it was. Returns how many values are stale by that, over all caches."""
        count, changed = 0, {source}
        while changed:
            one = changed.pop()
            self._changes += 1
            if self._building:
                self._changed[one] = self._changes
            for cache in self._caches:
                taken_out, others = cache._take_out_made_from(one)
                count += taken_out
                changed |= others
        return count

    def has_changed(self, sources: Iterable[str], since: int) -> bool:
        """Whether one of them has changed after the change number `since`. For builds that are running."""
        return any(self._changed.get(source, 0) > since for source in sources)

    def begin_build(self) -> int:
        self._building += 1
        return self._changes

    def end_build(self) -> None:
        self._building -= 1
        if not self._building:
            self._changed.clear()


@dataclass(slots=True)
class _Entry(Generic[ValueT]):
    """A value that is kept, and what it was made from."""

    value: ValueT
    version: str
    sources: frozenset[str]
    size: int


@dataclass(slots=True, eq=False)
class _Flight:
    """A build that runs, for all callers that want its value."""

    version: str
    over: anyio.Event = field(default_factory=anyio.Event)
    error: Exception | None = None


class _Store(TTLCache[Key, _Entry[Any]]):
    """Says what it has given up: for want of room, or because its time was over."""

    def __init__(self, capacity: int, ttl: float, timer: Callable[[], float]) -> None:
        super().__init__(capacity, ttl, timer)
        self.evicted: list[tuple[Key, _Entry[Any]]] = []
        self.expired: list[tuple[Key, _Entry[Any]]] = []

    def popitem(self) -> tuple[Key, _Entry[Any]]:
        self.evicted.append(super().popitem())
        return self.evicted[-1]

    def list_entries(self) -> list[tuple[Key, _Entry[Any]]]:
        """All keys and entries, without counting as a use."""
        return [(key, BaseCache.__getitem__(self, key)) for key in self]

    def expire(self, time: float | None = None) -> list[tuple[Key, _Entry[Any]]]:
        # Every method of the base class calls this: a look alone takes out what has expired.
        gone = list(super().expire(time))
        self.expired += gone
        return gone


class Cache(Generic[ValueT]):
    """Bounded by count and by time. A build that fails or is cancelled leaves nothing behind and holds up no reader."""

    def __init__(
        self,
        name: str,
        *,
        capacity: int,
        ttl: float,
        sources: Sources | None = None,
        measure: Callable[[ValueT], int] = sys.getsizeof,
        identify: Callable[[ValueT], str] | None = None,
        is_kept_by_use: bool = False,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ttl` in seconds from the build, or from the last use with `is_kept_by_use`. `measure` estimates the bytes of
        a value. `identify` gives its content hash: where a later build has another one, what was made from the earlier
        value is stale. `steady` is the clock that time is read from."""
        self.name = name
        self._ttl = ttl
        self._sources = sources or Sources()
        self._measure = measure
        self._is_kept_by_use = is_kept_by_use
        self._steady = steady
        self._store = _Store(capacity, ttl, steady)
        self._identify = identify
        self._identities: LRUCache[Key, str] = LRUCache(REMEMBERED * capacity)
        """Of the values that were held last, also of those that were given up since."""
        self._flights: dict[Key, _Flight] = {}
        self._made_from: dict[str, set[Key]] = {}
        """Source → keys of the values that were made from it: also of those that were given up since, for what was made
        from these may still be held elsewhere."""
        self._links: dict[Key, frozenset[str]] = {}
        """The same the other way round, the oldest first."""
        self._hits = self._misses = self._stale = self._evictions = self._expiries = self._failures = 0
        self._build_seconds = self._last_build_seconds = 0.0
        self._bytes = 0
        self._sources.add(self)

    def __repr__(self) -> str:
        return f"<Cache {self.name}: {len(self._store)} of {self._store.maxsize:g}, {self._hits} hits>"

    def source(self, key: Key) -> str:
        """The name of that value as a source of others."""
        return f"{self.name}:{key.tenant}:{key.name}"

    async def get(self, key: Key, build: Build[ValueT], *, version: str = "", sources: Iterable[str] = ()) -> ValueT:
        """The value, built if there is none of that version. Readers that come meanwhile wait for the same build, and
        get its error when it fails; where its reader is cancelled, the next one builds.

        `version` is a hash of what is known of the content beforehand. `sources` are what the value is made from, with
        those that the build names itself (`Built`)."""
        is_first_look = True
        while True:
            entry = self._look(key, version)
            if entry is not None:
                self._hits += is_first_look
                value: ValueT = entry.value
                return value
            flight = self._flights.get(key)
            if flight is None or flight.version != version:
                self._misses += is_first_look
                return await self._build(key, build, version, frozenset(sources))
            self._hits += is_first_look
            is_first_look = False
            if (key, self) in _BUILDING.get():
                raise RuntimeError(f"{self.source(key)} is built from itself")
            await flight.over.wait()
            if flight.error is not None:
                raise flight.error

    def get_now(
        self, key: Key, build: Callable[[], ValueT], *, version: str = "", sources: Iterable[str] = ()
    ) -> ValueT:
        """As `get`, for a value whose build does not wait for anything."""
        if (entry := self._look(key, version)) is not None:
            self._hits += 1
            value: ValueT = entry.value
            return value
        self._misses += 1
        began = self._steady()
        try:
            value = build()
        except BaseException:
            self._failures += 1
            raise
        finally:
            self._note_seconds(self._steady() - began)
        self._keep(key, _Entry(value, version, frozenset(sources), self._measure(value)))
        return value

    def peek(self, key: Key, version: str = "") -> ValueT | None:
        """The value when it is there: no build, and not counted as a use."""
        entry = self._look(key, version)
        return entry.value if entry is not None else None

    def put(
        self, key: Key, value: ValueT, *, version: str = "", sources: Iterable[str] = (), seconds: float = 0.0
    ) -> None:
        """Keeps a value that was built elsewhere, in that many seconds. A build that runs begins again."""
        self._sources.change(self.source(key))
        self._misses += 1
        self._note_seconds(seconds)
        self._keep(key, _Entry(value, version, frozenset(sources), self._measure(value)))

    def drop(self, key: Key) -> bool:
        """The value is not right any more, and neither is what was made from it. False when there was none."""
        was_there = self._take_out(key)
        self._stale += was_there
        self._sources.change(self.source(key))
        return was_there

    def drop_tenant(self, tenant: str) -> int:
        """Everything of a tenant. Returns how many values that were."""
        return sum(self.drop(key) for key in {*self._store, *self._flights} if key.tenant == tenant)

    def clean(self) -> int:
        """Takes out what has expired. Returns how many values that were. (Looking does so as well.)"""
        before = self._expiries
        self._tidy()
        return self._expiries - before

    def list_keys(self) -> tuple[Key, ...]:
        """Keys of all values that are held."""
        self._tidy()
        return tuple(self._store)

    def items(self) -> tuple[tuple[Key, ValueT], ...]:
        """All keys and values that are held. This does not count as a use."""
        self._tidy()
        return tuple((key, entry.value) for key, entry in self._store.list_entries())

    def statistics(self) -> CacheStatistics:
        self._tidy()
        return CacheStatistics(
            name=self.name,
            entries=len(self._store),
            capacity=int(self._store.maxsize),
            ttl=self._ttl,
            hits=self._hits,
            misses=self._misses,
            stale=self._stale,
            evictions=self._evictions,
            expiries=self._expiries,
            failures=self._failures,
            build_seconds=self._build_seconds,
            last_build_seconds=self._last_build_seconds,
            bytes=self._bytes,
        )

    async def _build(self, key: Key, build: Build[ValueT], version: str, named: frozenset[str]) -> ValueT:
        """Until what it was built from is still so when it is there."""
        flight = self._flights[key] = _Flight(version)
        token = _BUILDING.set(_BUILDING.get() | {(key, self)})
        began = self._steady()
        try:
            while True:
                since = self._sources.begin_build()
                try:
                    made = await build()
                    value, found = (made.value, made.sources) if isinstance(made, Built) else (made, ())
                    sources = named | frozenset(found)
                    is_current = not self._sources.has_changed({*sources, self.source(key)}, since)
                finally:
                    self._sources.end_build()
                if is_current:
                    break
                self._stale += 1
            if self._flights.get(key) is flight:
                self._keep(key, _Entry(value, version, sources, self._measure(value)))
            return value
        except Exception as error:
            flight.error = error
            self._failures += 1
            raise
        except BaseException:
            self._failures += 1
            raise
        finally:
            _BUILDING.reset(token)
            self._note_seconds(self._steady() - began)
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.over.set()

    def _look(self, key: Key, version: str) -> _Entry[ValueT] | None:
        self._tidy()
        entry = self._store.get(key)
        if entry is None:
            return None
        if entry.version != version:
            self.drop(key)
            return None
        if self._is_kept_by_use:
            self._store[key] = entry
        return entry

    def _keep(self, key: Key, entry: _Entry[ValueT]) -> None:
        self._take_out(key)
        if self._identify is not None:
            identity = self._identify(entry.value)
            before, self._identities[key] = self._identities.get(key, identity), identity
            if before != identity:
                self._sources.change(self.source(key))
        self._unlink(key)
        while len(self._links) >= REMEMBERED * self._store.maxsize:
            # Where it is not known any more what a value was made from, nothing may be held that was made from it.
            oldest = next(iter(self._links))
            self._unlink(oldest)
            self.drop(oldest)
        self._links[key] = entry.sources
        for source in entry.sources:
            self._made_from.setdefault(source, set()).add(key)
        self._store[key] = entry
        self._bytes += entry.size
        self._tidy()

    def _take_out(self, key: Key) -> bool:
        """Removes the value. False when it is not there."""
        self._tidy()
        entry = self._store.pop(key, None)
        if entry is None:
            return False
        self._bytes -= entry.size
        return True

    def _take_out_made_from(self, source: str) -> tuple[int, set[str]]:
        """For `Sources`: how many values are stale now, and what others may have been made from."""
        keys = tuple(self._made_from.get(source, ()))
        count = sum(map(self._take_out, keys))
        self._stale += count
        for key in keys:
            self._unlink(key)
        return count, set(map(self.source, keys))

    def _unlink(self, key: Key) -> None:
        for source in self._links.pop(key, ()):
            keys = self._made_from[source]
            keys.discard(key)
            if not keys:
                del self._made_from[source]

    def _tidy(self) -> None:
        """Takes out what has expired, and counts what the store has given up since the last time."""
        self._store.expire()
        expired, self._store.expired = self._store.expired, []
        evicted, self._store.evicted = self._store.evicted, []
        self._expiries += len(expired)
        self._evictions += len(evicted)
        self._bytes -= sum(entry.size for _, entry in (*expired, *evicted))

    def _note_seconds(self, seconds: float) -> None:
        self._last_build_seconds = seconds
        self._build_seconds += seconds


_BUILDING: ContextVar[frozenset[tuple[Key, Cache[Any]]]] = ContextVar("building", default=frozenset())
"""The values that the running task is building, one for the sake of the other."""
