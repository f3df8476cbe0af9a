"""How often the floor holds what was brought: when the stick, and the seed with it, may go."""

from collections.abc import Iterable
from dataclasses import dataclass

from p2pupd.model.device import Role
from p2pupd.model.fleet import HOLD_CHARS, StatusRecord, View
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Release


@dataclass(frozen=True, slots=True)
class Copies:
    """`held` complete copies of a release on devices that live and stay, of `needed`.

    `takers` are the devices that it is for.
    """

    release: Release
    held: int
    needed: int
    takers: int

    @property
    def enough(self) -> bool:
        return self.held >= self.needed


def copies(
    view: View,
    releases: Iterable[Release],
    wanted: int,
    now: float,
    *,
    retired: frozenset[DeviceId] = frozenset(),
) -> tuple[Copies, ...]:
    """Of every release that some device here is for: its copies, where `wanted` are wanted.

    Seeds leave with the stick and leeches give nothing, so neither counts. Who is silent holds
    nothing that counts, but takes it all the same, unless it was `retired`: it may be back when the
    stick is gone. Where fewer devices take a release than copies are wanted, all of them are
    enough.
    """
    peers = [each for each in view.entries.values() if each.record.role is Role.PEER]
    carriers = [each.record for each in peers if not each.silent(now)]
    silent = [each.record for each in peers if each.silent(now)]
    expected = carriers + [each for each in silent if each.device not in retired]
    found = []
    for release in releases:
        takers = sum(_takes(each, release) for each in expected)
        held = sum(release.artifact.sha256[:HOLD_CHARS] in each.holds for each in carriers)
        if takers or held:
            found.append(Copies(release, held, min(wanted, max(takers, held)), takers))
    return tuple(found)


def _takes(record: StatusRecord, release: Release) -> bool:
    """Whether it is for that device: hardware and, where it has told one, component."""
    fits = not set(record.hardware_ids).isdisjoint(release.hardware_ids)
    known = {each.component for each in record.components}
    return fits and (not known or release.component in known)
