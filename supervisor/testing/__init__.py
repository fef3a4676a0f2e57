"""The shipped fake: agents without processes, for tests and for loads that real processes cannot reach.

The real supervisor runs on it unchanged; only the connections are fake. A `FakeWorld` holds what real processes would
share (the conversations on disk) and remembers every rule that was broken, so that a test can assert there was none:

    world = FakeWorld(on_prompt=hold)
    async with Supervisor(templates, settings, connect=world.connect) as supervisor:
        ticket = supervisor.submit(Prompt("helpdesk", "Hello"))
        ...                                     # wait until world.holder_of("Hello") is found
        world.holder_of("Hello").reply("Hi")    # or: fail(429), die(), hang(), await ask(...)
        print(await ticket.outcome(), world.violations)

It behaves as the bundled CLI was measured to. A process that hangs answers nothing, an interrupt neither, and only
KILL ends it, as one that sleeps; one that died refuses an interrupt at once; a question goes with an interrupt and with
its client.
"""

from __future__ import annotations

from supervisor.testing.connection import FakeConnection as FakeConnection
from supervisor.testing.process import FakeTree as FakeTree
from supervisor.testing.world import FakeConnector as FakeConnector
from supervisor.testing.world import FakeWorld as FakeWorld
from supervisor.testing.world import OnPrompt as OnPrompt
from supervisor.testing.world import answer_at_once as answer_at_once
from supervisor.testing.world import compact_at_once as compact_at_once
from supervisor.testing.world import hold as hold
from supervisor.testing.world_state import Written as Written
