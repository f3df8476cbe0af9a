"""The newest lines of a device's history, as it tells them to others. Times are Unix seconds."""

from dataclasses import dataclass

from p2pupd.model.ids import DeviceId, Realm


@dataclass(frozen=True, slots=True)
class LogLine:
    """`event` is its stable id; `fields` say which, why and how much."""

    at: int
    event: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Logbook:
    """`lines`, oldest first, are the newest of them at `at`, by the device's own clock."""

    device: DeviceId
    realm: Realm
    at: int
    lines: tuple[LogLine, ...] = ()
