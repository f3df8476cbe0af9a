"""May this release come onto this device? Decided before a payload byte is moved.

`choose` picks the release that a device wants from a verified manifest; `refusal` says what stands
against one release now. Both look at facts only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from p2pupd.errors import (
    DowngradeError,
    HardwareError,
    HealthError,
    SignatureError,
    SpaceError,
    UpdateError,
)
from p2pupd.errors import NothingToDo as NothingToDoError
from p2pupd.model.device import DeviceFacts
from p2pupd.model.release import Release

NOTHING_TO_DO: Final = NothingToDoError.code


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: stable slug, sentence, exit code of the command line."""

    reason: str
    detail: str
    code: int

    def fields(self) -> dict[str, Any]:
        """As changes of a deployment record."""
        return {"reason": self.reason, "detail": self.detail, "code": self.code}


def choose(releases: Iterable[Release], facts: DeviceFacts) -> Release | Refusal:
    """The release that this device should install next, or why there is none.

    The highest release that is newer than the installed one and whose stepping stone
    (`min_release`) is reached; without a newer one, a signed way back (`rollback_from` names the
    installed release, and the security floor allows it). A release that a signed way back leads
    away from is never gone to. Where the operator went back from a release, no older one comes
    without consent. Any product line's signers can name any component: where two do, a
    device that was not told its line takes neither.
    """
    if facts.component is None:
        return Refusal("no-component", "this device installs nothing; it only carries", 4)
    named = [each for each in releases if each.component == facts.component]
    ours = [each for each in named if facts.line in ("", each.line)]
    if not ours:
        where = f" in product line {facts.line}" if facts.line else ""
        return Refusal("no-release", f"nothing here is for component {facts.component}{where}", 4)
    fitting = [each for each in ours if _fits(each, facts)]
    if not fitting:
        return _hardware_refusal(ours, facts)
    lines = sorted({each.line for each in fitting})
    if len(lines) > 1:
        return Refusal(
            "ambiguous-line",
            f"the product lines {', '.join(lines)} all have component {facts.component}: set "
            "install.line to this device's own",
            SignatureError.code,
        )
    sound = [each for each in fitting if (each.component, each.release) not in facts.bad]
    if not sound and facts.left >= 0:
        return _rolled_back(facts)
    if not sound:
        worst = max(each.release for each in fitting)
        return Refusal(
            "known-bad",
            f"release {worst} has failed on this device before; a newer one, `p2pupd approve "
            f"{worst} --again`, or `p2pupd site resume {worst}` for the whole site, is needed",
            HealthError.code,
        )
    return _best(sound, facts)


def _best(sound: list[Release], facts: DeviceFacts) -> Release | Refusal:
    have = facts.installed.release if facts.installed else None
    reached = -1 if have is None else have
    left = {number for each in sound for number in each.rollback_from}
    newer = [each for each in sound if each.release > reached and each.release not in left]
    wanted = [each for each in newer if each.release > facts.left or each.release in facts.approved]
    open_to_us = [each for each in wanted if (each.min_release or 0) <= max(reached, 0)]
    if open_to_us:
        return max(open_to_us, key=lambda each: each.release)
    if wanted:
        step = min(each.min_release or 0 for each in wanted)
        return Refusal("stepping-stone", f"release {step} must be installed first", 1)
    back = [each for each in sound if have in each.rollback_from and _above_floor(each, facts)]
    if back:
        return max(back, key=lambda each: each.release)
    if newer:
        return _rolled_back(facts)
    if any(each.release == have for each in sound):
        return Refusal("up-to-date", f"release {have} is already installed", NOTHING_TO_DO)
    best = max(each.release for each in sound)
    return Refusal(
        "downgrade",
        f"release {best} is offered, but release {have} is installed and nobody has signed the "
        "way back",
        DowngradeError.code,
    )


def _rolled_back(facts: DeviceFacts) -> Refusal:
    return Refusal(
        "rolled-back",
        f"the operator went back from release {facts.left}; a newer one is needed, or "
        f"`p2pupd approve RELEASE`, for {facts.left} itself with --again",
        HealthError.code,
    )


def refusal(release: Release, facts: DeviceFacts) -> Refusal | None:
    """What stands against `release` on this device now; None admits it."""
    if not _fits(release, facts):
        return _hardware_refusal([release], facts)
    for check in (_installer, _dependencies, _conflicts, _space, _slot, _power):
        found = check(release, facts)
        if found is not None:
            return found
    return None


def _fits(release: Release, facts: DeviceFacts) -> bool:
    return not set(release.hardware_ids).isdisjoint(facts.hardware_ids)


def _above_floor(release: Release, facts: DeviceFacts) -> bool:
    return facts.installed is None or release.release >= facts.installed.security_floor


def _hardware_refusal(releases: list[Release], facts: DeviceFacts) -> Refusal:
    theirs = ", ".join(sorted({name for each in releases for name in each.hardware_ids}))
    return Refusal(
        HardwareError.default_reason,
        f"made for {theirs}; this device is {', '.join(facts.hardware_ids) or 'unnamed'}",
        HardwareError.code,
    )


def _installer(release: Release, facts: DeviceFacts) -> Refusal | None:
    if release.installer == facts.installer:
        return None
    return Refusal(
        "wrong-installer",
        f"needs the installer {release.installer}; this device has {facts.installer or 'none'}",
        UpdateError.code,
    )


def _dependencies(release: Release, facts: DeviceFacts) -> Refusal | None:
    have = {each.component: each.release for each in facts.others}
    for need in release.depends_on:
        if have.get(need.component, -1) < need.min_release:
            return Refusal(
                "dependency",
                f"needs {need.component} at release {need.min_release} or later",
                UpdateError.code,
            )
    return None


def _conflicts(release: Release, facts: DeviceFacts) -> Refusal | None:
    clash = sorted({each.component for each in facts.others} & set(release.conflicts))
    if not clash:
        return None
    return Refusal("conflict", f"cannot be together with {', '.join(clash)}", UpdateError.code)


def _space(release: Release, facts: DeviceFacts) -> Refusal | None:
    need = release.artifact.length
    if release.artifact.sha256 in facts.stored or need <= facts.store_free:
        return None
    return Refusal(
        SpaceError.default_reason,
        f"the store has room for {facts.store_free} more bytes, the artifact needs {need}; free "
        "the disk or raise store.quota",
        SpaceError.code,
    )


def _slot(release: Release, facts: DeviceFacts) -> Refusal | None:
    need = release.image.length
    room = facts.spare_free if facts.spare_capacity is None else facts.spare_capacity
    if room is None or need <= room:
        return None
    return Refusal(
        SpaceError.default_reason,
        f"the spare slot has room for {room} bytes, the image needs {need}",
        SpaceError.code,
    )


def _power(_: Release, facts: DeviceFacts) -> Refusal | None:
    if facts.power_ok:
        return None
    return Refusal("power", "the battery is low and no mains power is there", UpdateError.code)
