"""The memory of containers, from their control groups (version 1 or 2) on this machine."""

from dataclasses import dataclass, field
from pathlib import Path

from scenarios.lib.containers import Containers

GROUPS = Path("/sys/fs/cgroup")


@dataclass
class Peak:
    """Bytes. `charged` counts the files' pages that the kernel keeps as long as there is room.

    `anonymous` is what the processes themselves need; `killed` how often the limit ended one.
    """

    charged: int = 0
    anonymous: int = 0
    killed: int = 0


@dataclass
class Peaks:
    """The highest values of each container's runs, as seen at each `look`."""

    network: Containers
    of: dict[str, Peak] = field(default_factory=dict)

    def look(self) -> None:
        """Once more. A container that does not run just now is left out."""
        for container, process in self.network.processes().items():
            peak = self.of.setdefault(container, Peak())
            try:
                group = _group(process)
                peak.charged = max(peak.charged, _number(group, PEAKS))
                peak.anonymous = max(peak.anonymous, _field(group / "memory.stat", ANONYMOUS))
                peak.killed = max(peak.killed, _killed(group))
            except OSError:
                continue


PEAKS = ("memory.peak", "memory.max_usage_in_bytes")
ANONYMOUS = ("anon", "total_rss")
KILLS = ("oom_kill",)


def _group(process: int) -> Path:
    for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return GROUPS / "memory" / path.lstrip("/")
        if not controllers and (GROUPS / "cgroup.controllers").exists():
            return GROUPS / path.lstrip("/")
    raise FileNotFoundError(f"process {process} is in no group that counts memory")


def _number(group: Path, names: tuple[str, ...]) -> int:
    found = [group / name for name in names if (group / name).exists()]
    return int(found[0].read_text()) if found else 0


def _field(path: Path, names: tuple[str, ...]) -> int:
    fields = dict(line.split() for line in path.read_text().splitlines())
    return next((int(fields[name]) for name in names if name in fields), 0)


def _killed(group: Path) -> int:
    for name in ("memory.events", "memory.oom_control"):
        if (group / name).exists():
            return _field(group / name, KILLS)
    return 0
