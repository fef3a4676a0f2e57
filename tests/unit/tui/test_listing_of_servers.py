"""`bullpen servers` and `:servers`: what a shared MCP server is, uses and saves, in words."""

from __future__ import annotations

from supervisor import BreakerState, SharedServerRow
from supervisor.api.shared_servers import SharedState
from tui.operator.listings import SERVERS


def test_a_server_that_is_well_and_one_that_is_not() -> None:
    well = SharedServerRow(
        "time, clock",
        "stdio",
        "mcp-server-time",
        SharedState.CONNECTED,
        ("desk", "admin"),
        clients=4,
        tools=2,
        calls=10,
        errors=1,
        running=2,
        waiting=3,
        processes=1,
        memory_bytes=68_000_000,
        saved_bytes=204_000_000,
    )
    ill = SharedServerRow(
        "wiki", "http", "wiki.example", SharedState.BACKING_OFF, note="it cannot be reached", breaker=BreakerState.OPEN
    )
    assert [tuple(row) for row in SERVERS.rows([well, ill])] == [
        (
            "time, clock",
            "connected",
            "4 clients, 1 process",
            "68 MB",
            "204 MB",
            "2",
            "10, 1 failed, 2 running, 3 waiting",
            "mcp-server-time for desk, admin",
        ),
        (
            "wiki",
            "backing-off, calls held back (open)",
            "0 clients, 0 processes",
            "-",
            "-",
            "0",
            "0",
            "it cannot be reached",
        ),
    ]
