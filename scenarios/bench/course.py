"""What is measured: a course that every contender runs, and what came of it."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from scenarios.bench.machine import Peaks, machine_time, usage
from scenarios.lib.fleet import Publisher
from scenarios.lib.net import Net, network

MBIT: Final = 1_000_000
MIB: Final = 1 << 20
STARVED: Final = 0.15
"""Share of the time that the median node waited for a processor: more says more about this machine
than about the contender."""


class BenchError(Exception):
    """The measurement could not be made; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for: `devices` beside the seed, links of `rate` Mbit/s both ways
    (None: as fast as they go), an image of `size` bytes, lines of JSON with `label` to `output`.

    `settings` are laid over every daemon's configuration. `settle` is how many seconds a quiet
    machine is waited for before each start.
    """

    devices: int
    rate: int | None
    size: int
    rounds: int = 1
    output: Path | None = None
    label: str = ""
    settle: float = 60
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """In words."""
        rate = "as fast as they go" if self.rate is None else f"of {self.rate} Mbit/s"
        return f"{self.devices} devices beside the seed, links {rate}, {self.size / MIB:g} MiB"


@dataclass(frozen=True, slots=True)
class Course:
    """A plan whose image is published: every contender runs it."""

    plan: Plan
    directory: Path
    publisher: Publisher
    image: Path
    digest: str
    stick: Path

    @property
    def devices(self) -> int:
        """How many, beside the seed."""
        return self.plan.devices

    @property
    def rate(self) -> int | None:
        """Mbit/s."""
        return self.plan.rate

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.plan.size

    @property
    def limit(self) -> float | None:
        """Seconds that one device alone needs on its link."""
        return None if self.rate is None else self.size * 8 / (self.rate * MBIT)

    @property
    def patience(self) -> float:
        """Seconds after which a contender has failed: a server that feeds all gets its time."""
        return 60 + (self.devices + 4) * (self.limit or self.size / (50 * MBIT))


@dataclass(slots=True)
class Node:
    """What one host sent and received on the wire, and what its programs cost (bytes, seconds)."""

    name: str
    sent: int = 0
    received: int = 0
    cpu: float = 0
    waited: float = 0
    resident: int = 0
    anonymous: int = 0
    filled: float = 0
    """When the last bytes of weight arrived (Unix seconds)."""


@dataclass(slots=True)
class Result:
    """`times`: seconds from the start to each device's having it all. `nodes`: the seed first."""

    contender: str
    devices: int
    rate: int | None
    size: int
    limit: float | None
    times: list[float] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    busy: float = 0
    drops: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> float:
        """The last device's time."""
        return max(self.times)

    @property
    def ratio(self) -> float | None:
        """The last device's time in multiples of the limit."""
        return None if self.limit is None else self.last / self.limit

    @property
    def seed_images(self) -> float:
        """What the seed put on the wire, headers included, in images."""
        return self.nodes[0].sent / self.size

    @property
    def starved(self) -> bool:
        """Whether this machine was the limit."""
        return median(each.waited for each in self.nodes) > STARVED * self.last

    def record(self) -> dict[str, Any]:
        """For a line of JSON."""
        derived = {
            "last": self.last,
            "median": median(self.times),
            "ratio": self.ratio,
            "seed_images": self.seed_images,
            "starved": self.starved,
        }
        return asdict(self) | derived


def digest_of(path: Path) -> str:
    """The file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blank(contender: str, course: Course) -> Result:
    """A result to be filled in."""
    return Result(contender, course.devices, course.rate, course.size, course.limit)


@asynccontextmanager
async def measured(result: Result, net: Net, pids: Mapping[str, int]) -> AsyncIterator[None]:
    """Fill in what the block costs: `pids` has a process for each host of `net`, in its order."""
    peaks = Peaks(pids)
    costs = {name: usage(pid) for name, pid in pids.items()}
    carried, dropped = net.carried(), net.dropped()
    whole, busy = machine_time()
    async with asyncio.TaskGroup() as group:
        sampling = group.create_task(peaks.run(), name="memory")
        try:
            yield
        finally:
            sampling.cancel()
    whole_after, busy_after = machine_time()
    result.busy = (busy_after - busy) / max(whole_after - whole, 1e-9)
    carried_after = net.carried()
    peaks.look()
    for (name, pid), host in zip(pids.items(), net.hosts, strict=False):
        cost, now = costs[name], usage(pid)
        sent, received = (
            after - before
            for after, before in zip(
                carried_after[host.address], carried[host.address], strict=True
            )
        )
        node = Node(name, sent, received, now.cpu - cost.cpu, now.waited - cost.waited)
        node.resident, node.anonymous = peaks.resident[name], peaks.anonymous[name]
        node.filled = peaks.filled[name]
        result.nodes.append(node)
    result.drops = net.dropped() - dropped


@asynccontextmanager
async def prepared(plan: Plan) -> AsyncIterator[Course]:
    """Publish an image of random bytes; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="p2pupd-bench-"))
    try:
        publisher = await Publisher(directory / "office").init()
        image = await publisher.release(plan.size)
        stick = await publisher.stick(directory / "stick")
        yield Course(plan, directory, publisher, image, digest_of(image), stick)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def switched(course: Course, others: int = 0, seed_rate: int | None = None) -> Iterator[Net]:
    """The network of a course: a host for the seed, one for each device, then `others`."""
    with network(course.rate) as net:
        net.host(seed_rate)
        for _ in range(course.devices + others):
            net.host()
        yield net
