"""Which instances there are. They come and go with their templates, also while the supervisor runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supervisor.api import events as past
from supervisor.claude.connector import MakeConnector
from supervisor.claude.contexts import ContextStore
from supervisor.config.restrictions import missing_skills
from supervisor.config.templates import Template
from supervisor.instance import stimuli
from supervisor.instance.instance import Instance
from supervisor.instance.shared import HostContext
from supervisor.journal import RecoveredState
from supervisor.process.connection import Connector
from supervisor.recovery.offers import OpenOffers
from supervisor.recovery.takeover import Restart
from supervisor.sessions.turn import Turn

Compiled = tuple[Connector, tuple[str, ...]]
"""What starts the clients of a template, and what these go without, in words."""


class Roster:
    """State: the instances by name, and what the journal keeps for instances that are not there."""

    def __init__(
        self,
        instances: dict[str, Instance],
        host: HostContext,
        offers: OpenOffers,
        *,
        make_connector: MakeConnector,
        environment: Mapping[str, str],
        contexts: ContextStore,
        take_in: Callable[[Turn], None],
        may_open: Callable[[], bool],
    ) -> None:
        """`environment` is what clients get on top of the inherited one. `take_in` is told of every turn that is taken
        over from the journal. `may_open`: the supervisor runs, and has not begun to stop."""
        self.environment = environment
        self._instances = instances
        self._host = host
        self._offers = offers
        self._make_connector = make_connector
        self._contexts = contexts
        self._take_in = take_in
        self._may_open = may_open
        self._strangers: dict[str, set[str]] = {}
        """Conversations and workspaces of sessions whose instance is not there, by its name: left as they are."""

    @property
    def strangers(self) -> set[str]:
        return set().union(*self._strangers.values())

    def compile(self, template: Template) -> Compiled:
        """Blocking. Raises `ConfigurationError` when no client can be started with it."""
        return self._make_connector(template), tuple(missing_skills(template, self.environment))

    def open(self, template: Template, compiled: Compiled) -> Instance:
        """Before the supervisor runs."""
        connector, missing = compiled
        self._contexts.hold(template.name, connector.digest)
        instance = self._instances[template.name] = Instance(template, connector, self._host, missing)
        return instance

    def note_strangers(self, loaded: RecoveredState) -> None:
        for one in loaded.sessions:
            if one.key.instance not in self._instances:
                places = {one.uuid, str(one.workspace or "")}
                self._strangers.setdefault(one.key.instance, set()).update(places)

    async def add(self, template: Template, compiled: Compiled) -> bool:
        """Opens an instance while the supervisor runs. Sessions that the journal keeps of it are taken over. False when
        the supervisor has begun to stop."""
        name = template.name
        if not self._may_open():
            return False
        await self._host.journal.flush()
        if not self._may_open():
            return False
        loaded = await self._host.journal.load()
        if not self._may_open():
            return False
        instance = self.open(template, compiled)
        mine = RecoveredState(
            sessions=tuple(one for one in loaded.sessions if one.key.instance == name),
            waiting=(),
            running=(),
            offers=tuple(one for one in loaded.offers if one.turn.key.instance == name),
            clients=(),
            questions=(),
        )
        Restart(self._instances, self._host, self._offers, self._take_in).take_over(mine)
        self._strangers.pop(name, None)
        instance.core.publish(past.InstanceOpened)
        instance.handle(stimuli.HostChanged())
        return True

    def replace(self, template: Template, compiled: Compiled, changed: tuple[str, ...]) -> None:
        """The template of an instance has changed, in those of its keys."""
        connector, missing = compiled
        self._contexts.hold(template.name, connector.digest)
        self._instances[template.name].handle(stimuli.ReplaceTemplate(template, connector, missing, changed))

    def drop(self, name: str) -> None:
        """Closes an instance that has neither turns nor clients. Its sessions stay in the journal and on disk."""
        instance = self._instances.pop(name)
        places = {
            place for session in instance.sessions.values() for place in (session.uuid, str(session.workspace or ""))
        }
        self._strangers.setdefault(name, set()).update(places)
        self._offers.leave(name)
        self._contexts.drop(name)
        self._host.room.remove(instance.scheduler)
        for session in instance.sessions.values():
            self._host.feed.touch_session(session.key)
        instance.core.publish(past.InstanceClosed)
        self._host.feed.touch_instance(name)
