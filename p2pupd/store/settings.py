"""Settings of the store."""

from dataclasses import dataclass
from pathlib import Path

from p2pupd.model.setting import NO_PATH, Bytes, at_least, setting


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`[store]`: how much of the disk payload files may take."""

    directory: Path = setting(NO_PATH, "Where they live; unset: `store` in the state directory")
    quota: Bytes = setting(
        Bytes(8 * 1024**3), "Bytes that all artifacts together may take", check=at_least(1)
    )
    reserve: Bytes = setting(
        Bytes(64 * 1024**2), "Bytes of the disk that are left free for others", check=at_least(0)
    )
    max_objects: int = setting(64, "How many artifacts are kept at most", check=at_least(2))
    leech_cache: Bytes = setting(
        Bytes(0),
        "Bytes of artifacts that a `leech` keeps once nothing is on its way any more; it needs none"
        " of them after they were installed.",
        check=at_least(0),
    )
