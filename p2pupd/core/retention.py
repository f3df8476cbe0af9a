"""Which artifacts stay on a device when its store is short of room."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from p2pupd.model.device import Installed, Role
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Release


@dataclass(frozen=True, slots=True)
class Retention:
    """SHA-256 of artifacts: `never` to be evicted, and `last`: only when nothing else is left."""

    never: frozenset[Sha256]
    last: frozenset[Sha256]


def retention(
    role: Role,
    *,
    under_way: Iterable[Sha256],
    wanted: Collection[Sha256],
    slots: Iterable[Installed | None],
    packs: Mapping[Sha256, Sha256],
) -> Retention:
    """What is `under_way` stays; but on a leech, so does what is `wanted`, and what is in a slot.

    `packs` maps packs that are in the store to the images that they unpack to. The packs of the
    images in the slots are what the next update is made of, and what neighbours are served; but the
    slots hold the same, so such a pack yields to a release that has no room otherwise.
    """
    never = frozenset(under_way)
    if role is Role.LEECH:
        return Retention(never, frozenset())
    images = {Sha256(each.image_sha256) for each in slots if each}
    last = frozenset(pack for pack, image in packs.items() if image in images)
    return Retention(never | frozenset(wanted) | images, last - never)


def supersedes(new: Release, old: Release) -> bool:
    """Whether nobody is to need `old` any more where `new` is to be had.

    So it is where `new` is higher, for all of the same hardware, and reached from anywhere; what a
    signed way back leads to is needed all the same.
    """
    return (
        new.component == old.component
        and new.release > old.release
        and set(old.hardware_ids) <= set(new.hardware_ids)
        and not new.min_release
        and new.rollback_to != old.release
        and not old.rollback_from
    )
