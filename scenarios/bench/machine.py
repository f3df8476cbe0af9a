"""What programs cost: processor time and memory of a process and all below it, from /proc."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICK: Final = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS: Final = 0.25
FEW: Final = 3
FEW_SECONDS: Final = 0.05
WEIGHT_BYTES: Final = 64 * 1024
QUIET: Final = 0.15
"""Share of all processors that may be busy before a start."""

GONE: Final = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time, seconds ready to run but waiting for a processor, bytes."""

    cpu: float = 0
    waited: float = 0
    resident: int = 0
    anonymous: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu + other.cpu,
            self.waited + other.waited,
            self.resident + other.resident,
            self.anonymous + other.anonymous,
        )


def usage(pid: int) -> Usage:
    """Of the process and of all below it, ended children included; of one that is gone, nothing."""
    total = Usage()
    for each in _tree(pid):
        with suppress(*GONE):
            total += Usage(_cpu(each), _waited(each), *_memory(each))
    return total


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(*GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(*GONE):
                for child in (task / "children").read_text().split():
                    yield from _tree(int(child))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


def _waited(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(*GONE):
            total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def _memory(pid: int) -> tuple[int, int]:
    """(resident, its anonymous part); what maps files is page cache and can be dropped."""
    found = {"VmRSS": 0, "RssAnon": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024
    return found["VmRSS"], found["RssAnon"]


def machine_time() -> tuple[float, float]:
    """(all, busy) processor seconds of this machine so far."""
    counts = [int(each) for each in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(counts) / TICK, (sum(counts) - counts[3] - counts[4]) / TICK


async def quiet(within: float) -> bool:
    """Wait until this machine is hardly busy for a second, at most so long; whether it was."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        before = machine_time()
        await asyncio.sleep(1)
        after = machine_time()
        if after[1] - before[1] < QUIET * (after[0] - before[0]):
            return True
    return False


def received(pid: int) -> int:
    """Bytes that came in by the network interfaces which the process sees."""
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return sum(int(each.split(":")[1].split()[0]) for each in lines)


class Peaks:
    """The most memory that each process (and all below it) was seen with, and when it last got
    bytes of weight: looked at four times a second, or twenty times where there are few."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._interval = FEW_SECONDS if len(pids) <= FEW else SAMPLE_SECONDS
        self._received = dict.fromkeys(pids, 0)
        self.resident = dict.fromkeys(pids, 0)
        self.anonymous = dict.fromkeys(pids, 0)
        self.filled = dict.fromkeys(pids, 0.0)

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._interval)

    def look(self) -> None:
        """One sample."""
        for name, pid in self._pids.items():
            resident = anonymous = 0
            for each in _tree(pid):
                with suppress(*GONE):
                    more = _memory(each)
                    resident, anonymous = resident + more[0], anonymous + more[1]
            self.resident[name] = max(self.resident[name], resident)
            self.anonymous[name] = max(self.anonymous[name], anonymous)
            with suppress(*GONE):
                self._weigh(name, received(pid))

    def _weigh(self, name: str, now: int) -> None:
        if now - self._received[name] > WEIGHT_BYTES:
            self.filled[name] = time.time()
        self._received[name] = now
