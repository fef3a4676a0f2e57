"""Which limit an instance's turns wait for, for those who are told why. It decides nothing. The scheduler keeps what it
found last, for the instance's row."""

from __future__ import annotations

from supervisor.api.snapshot import Limit
from supervisor.instance.core import InstanceCore
from supervisor.instance.turns import Turns


def find_limit(core: InstanceCore, turns: Turns) -> Limit | None:
    """The first that is reached of: its turns, its clients, the clients of all instances. None when no turn waits for a
    place, or none of them is reached."""
    if not turns.any_ready:
        return None
    pool, room = core.pool, core.host.room
    # A client that starts for a turn has that turn's place already.
    running = pool.running + pool.expected
    reached = (
        Limit("maxSessions", running, core.max_sessions),
        Limit("maxClients", len(pool), pool.max_clients),
        Limit("max_agents", room.used, room.max_agents),
    )
    return next((limit for limit in reached if limit.used >= limit.most), None)
