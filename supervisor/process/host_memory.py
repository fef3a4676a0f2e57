"""What this host allows for the memory of idle clients: where it can be put, and who may put it there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from supervisor.process.cgroups import can_reclaim, find_delegated
from supervisor.process.paging import may_page_out

_MEMORY, _SWAPS = Path("/proc/meminfo"), Path("/proc/swaps")
_ZSWAP = Path("/sys/module/zswap/parameters/enabled")


class HostMemory(NamedTuple):
    """Bytes, and what is possible. All of it zero and false where there is no `/proc`."""

    swap_total: int = 0
    swap_free: int = 0
    swap_compressed: int = 0
    """Of the total, what lies in memory itself, compressed (zram)."""
    has_zswap: bool = False
    """What goes to swap is kept in memory, compressed, as long as there is room."""
    pages_out: bool = False
    """This process may hand over the memory of others (CAP_SYS_NICE)."""
    reclaims: bool = False
    """Clients get a control group of their own, which hands over their memory without a privilege."""

    @property
    def hands_back(self) -> bool:
        """A client that is put to sleep gives its memory back at once."""
        return self.swap_total > 0 and (self.pages_out or self.reclaims)


def look_at_host() -> HostMemory:
    """Blocking: milliseconds, for a process of its own that the kernel is asked about."""
    total, free = read_swap()
    given = find_delegated()
    return HostMemory(
        swap_total=total,
        swap_free=free,
        swap_compressed=sum(size for name, size in _read_devices() if name.startswith("/dev/zram")),
        has_zswap=_read(_ZSWAP).strip() == "Y",
        pages_out=may_page_out(),
        reclaims=given is not None and can_reclaim(given),
    )


def read_swap() -> tuple[int, int]:
    """Bytes of swap, and those of them that are free: (0, 0) where there is none or nothing tells."""
    found = dict.fromkeys(("SwapTotal", "SwapFree"), 0)
    for line in _read(_MEMORY).splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found["SwapTotal"], found["SwapFree"]


def has_swap() -> bool:
    return read_swap()[0] > 0


def _read_devices() -> list[tuple[str, int]]:
    """Name and bytes of each."""
    lines = [line.split() for line in _read(_SWAPS).splitlines()[1:]]
    return [(line[0], int(line[2]) * 1024) for line in lines if len(line) > 2]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
