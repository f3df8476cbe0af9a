"""Settings of the view of the floor."""

from dataclasses import dataclass
from typing import Final

from p2pupd.model.setting import Seconds, at_least, setting, within
from p2pupd.wire.records import LONGEST_BEAT, MAX_GROUPS, NAME_BYTES


def _names(value: tuple[str, ...]) -> str | None:
    if len(value) > MAX_GROUPS:
        return f"names more than {MAX_GROUPS} groups"
    return next((wrong for each in value if (wrong := _name(each) or _empty(each))), None)


def _empty(value: str) -> str | None:
    return None if value else "has an empty name"


def _name(value: str) -> str | None:
    if len(value.encode()) > NAME_BYTES or not value.isprintable():
        return f"is no printable name of at most {NAME_BYTES} bytes"
    return None


MOST_DEVICES: Final = 16384


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """`[fleet]`: what this device tells the others about itself, and how it hears of them."""

    site: str = setting(
        "", "Name of the site. Devices of another site do not count here", check=_name
    )
    model: str = setting("", "What people call this kind of device", check=_name)
    groups: tuple[str, ...] = setting(
        (), "Groups of the site that this device is in, such as `canary` or `hall-2`", check=_names
    )
    copies: int = setting(
        2,
        "The stick may go when so many devices other than seeds hold a release complete",
        check=at_least(1),
    )
    devices: int = setting(
        1024,
        "Devices in the view at most; when it is full only neighbours still come in, and the "
        "stranger heard of last goes for each",
        check=within(2, MOST_DEVICES),
    )
    beat: Seconds = setting(
        Seconds(600.0),
        "A device says that it lives this often when nothing changes. On a floor of more than "
        "32 devices, the more rarely the more there are",
        check=within(1, LONGEST_BEAT),
    )
    interval: Seconds = setting(
        Seconds(90.0), "How often views are compared with a neighbour at rest", check=at_least(0.1)
    )
    pace: Seconds = setting(
        Seconds(1.0), "News that follow other news wait so long, and go together", check=at_least(0)
    )
