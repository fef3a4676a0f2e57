"""What `bullpen doctor` says of this host and what to do about it."""

from __future__ import annotations

import sys

import pytest

from supervisor.config.settings import Settings
from supervisor.engine.doctor import _examine_sleep
from supervisor.process.host_memory import HostMemory

GB = 10**9


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is one sentence")
@pytest.mark.parametrize(
    ("host", "words"),
    [
        (HostMemory(), ["keep their memory", "no swap"]),
        (HostMemory(4 * GB, 3 * GB), ["keep their memory until", "3.0 of 4.0 GB of swap free", "CAP_SYS_NICE"]),
        (HostMemory(4 * GB, 3 * GB, pages_out=True), ["goes to swap; 3.0 of 4.0 GB of swap free"]),
        (HostMemory(4 * GB, GB, has_zswap=True, pages_out=True), ["goes to swap", "zswap"]),
        (HostMemory(4 * GB, GB, 2 * GB, pages_out=True), ["2.0 GB of it compressed in memory, zram"]),
    ],
)
def test_it_says_what_becomes_of_the_memory_of_idle_clients(host: HostMemory, words: list[str]) -> None:
    finding = _examine_sleep(host, Settings(max_agents=40))
    assert finding.is_good, "everything works without"
    for word in words:
        assert word in finding.text
    kept = "kept for 4h, and a service keeps as many as the host may have (40)"
    assert (kept in finding.text) is host.hands_back
    assert ("kept for 15m" in finding.text) is not host.hands_back
    assert "kept for 10m" in _examine_sleep(host, Settings(agent_ttl=600)).text, "what is said holds"
    assert ("CAP_SYS_NICE" in finding.text) is (host.swap_total > 0 and not host.pages_out)
