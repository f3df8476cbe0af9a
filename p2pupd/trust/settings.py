"""Settings of trust: the anchor, the clock, and every limit on untrusted metadata."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from p2pupd.model.setting import Bytes, Seconds, at_least, setting


class Freshness(StrEnum):
    """What to do about metadata that only an untrusted clock calls expired."""

    WARN = "warn"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """`[trust]`. The limits are those of one file of that role, in bytes."""

    root: Path = setting(Path("/etc/p2pupd/root.json"), "Trust anchor, pinned at manufacture")
    freshness: Freshness = setting(
        Freshness.WARN,
        "`warn` or `strict`: refuse as well what only an untrusted clock calls expired",
    )
    old_after: Seconds = setting(
        Seconds(30 * 86400.0), "Warn about metadata issued longer ago", check=at_least(0)
    )
    root_limit: Bytes = setting(Bytes(64 * 1024), "Largest root.json", check=at_least(1))
    timestamp_limit: Bytes = setting(Bytes(4 * 1024), "Largest timestamp.json", check=at_least(1))
    snapshot_limit: Bytes = setting(Bytes(64 * 1024), "Largest snapshot.json", check=at_least(1))
    targets_limit: Bytes = setting(
        Bytes(512 * 1024), "Largest targets.json, and of each delegation", check=at_least(1)
    )
    max_root_rotations: int = setting(64, "Most root versions beyond the anchor", check=at_least(1))
    max_delegations: int = setting(16, "Most delegations that are followed", check=at_least(1))
    max_targets: int = setting(4096, "Most targets of one manifest", check=at_least(1))
