"""Adding a release: described by people, measured here, checked as a device will, then signed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuf.api.metadata import TargetFile

from p2pupd.core.merkle import BLOCK
from p2pupd.core.piece_layer import SUFFIX
from p2pupd.delta.interface import Progress
from p2pupd.errors import MetadataError, UsageError
from p2pupd.model.ids import COMPONENT_PATTERN, ComponentId, Sha256
from p2pupd.model.release import (
    BUILT,
    Artifact,
    ArtifactFormat,
    Dependency,
    Image,
    InstallerKind,
    Release,
    UpdateKind,
    Urgency,
)
from p2pupd.model.rollout import Rollout
from p2pupd.publisher.authority import Signing
from p2pupd.publisher.edition import Edition
from p2pupd.publisher.intake import Carried, length_of, take_in
from p2pupd.publisher.packing import Older, Packing, Tell
from p2pupd.publisher.proof import load_proven
from p2pupd.publisher.repository import LIMITS, Repository, locked
from p2pupd.trust.manifest import VERSION_PATTERN, custom_for, parse_custom

SUFFIX_PATTERN: Final = re.compile(r"\.[A-Za-z0-9]{1,12}", re.ASCII)
USUAL_SUFFIX: Final = ".img"
PACK_SUFFIX: Final = ".pack"
"""Behind the image's, so that nobody takes a pack for an image."""

MAX_FILE_NAME: Final = 255 - len(SUFFIX) - len("..new")
"""There is room for the name of the piece layer beside it, also while that is being written."""
UNMEASURED: Final = Sha256("0" * 64)


@dataclass(frozen=True, slots=True)
class Description:
    """What the signer says; None means: work it out (the only line, the next release)."""

    component: str
    version: str
    hardware_ids: tuple[str, ...]
    line: str | None = None
    release: int | None = None
    kind: UpdateKind = UpdateKind.FIRMWARE
    installer: InstallerKind = InstallerKind.SLOTS
    min_release: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    conflicts: tuple[str, ...] = ()
    rollback_to: int | None = None
    rollback_from: tuple[int, ...] = ()
    security_floor: int = 0
    urgency: Urgency = Urgency.NORMAL
    rollout: Rollout = Rollout()
    notes: str = ""


def add(
    directory: Path,
    image: Path,
    description: Description,
    signing: Signing,
    progress: Progress,
    *,
    raw: bool = False,
    tell: Tell = lambda _: None,
) -> Release:
    """Take `image` into the repository as a release, and sign.

    It is carried in a chunk pack, unless `raw` or where that cannot pay: `tell` hears about it.
    Killed at any moment, the repository stays what it was. Raises UsageError when it cannot be a
    release here, and what reading, writing and signing raise.
    """
    repository = load_proven(directory, signing.ring.directories)
    line = _line(repository, description)
    drafted = draft(repository, line, description, image.suffix, _unmeasured(image, raw=raw))
    for role in (line, "snapshot", "timestamp"):
        delegated = repository.delegator(role).get_delegated_role(role)
        signing.ring.open(delegated.keyids, least=delegated.threshold, role=role)
    packing = Packing(raw, _before(repository, drafted.release), tell)
    taking = take_in(image, repository.targets_directory, packing, progress)
    with taking as incoming, locked(directory):
        repository = load_proven(directory, signing.ring.directories)
        drafted = draft(repository, line, description, image.suffix, incoming.carried)
        edition = Edition(repository, signing.ring, signing.settings, signing.now)
        entry = _entry(drafted.release)
        listed = repository.lines[line].signed.targets
        for each in drafted.withdrawn:
            del listed[each.target]
        listed[entry.path] = entry
        edition.issue(line)
        incoming.place(repository.targets_directory / entry.get_prefixed_paths()[0])
        edition.publish()
    return drafted.release


@dataclass(frozen=True, slots=True)
class Draft:
    """A release that may be published, and the ones that it takes off the list."""

    release: Release
    withdrawn: tuple[Release, ...]


def _unmeasured(image: Path, *, raw: bool) -> Carried:
    """What nothing is known of but the length, before it is read. Raises UsageError, HostError."""
    length = length_of(image)
    artifact = Artifact(length, UNMEASURED, UNMEASURED, BLOCK)
    carried_as = ArtifactFormat.RAW if raw else ArtifactFormat.PACK1
    return Carried(carried_as, artifact, Image(length, UNMEASURED))


def _before(repository: Repository, release: Release) -> Older | None:
    """The release that most devices have when `release` comes: the one with the next lower number
    for any of its hardware. None where there is none, or its file is not here."""
    lower = [
        each
        for each in repository.releases()
        if each.component == release.component
        and each.release < release.release
        and not set(each.hardware_ids).isdisjoint(release.hardware_ids)
    ]
    last = max(lower, key=lambda each: each.release, default=None)
    if last is None:
        return None
    path = repository.file_of(last)
    return Older(last.label, path) if path.is_file() else None


def draft(
    repository: Repository, line: str, description: Description, suffix: str, carried: Carried
) -> Draft:
    """The release that `description` and `carried` make, as a device would read it.

    A way back (`rollback_from`) may have a lower number than what it leads away from; those are
    withdrawn, or devices would return to them. Raises UsageError: a malformed field, a number,
    version or image that devices of the same hardware know already.
    """
    _check_words(description)
    if description.installer not in BUILT:
        raise UsageError(
            f"no device installs it: {description.installer} is not an installer of this version; "
            f"there is {', '.join(BUILT)}",
            reason="unknown-installer",
        )
    published = repository.releases()
    if len(published) >= LIMITS.max_targets:
        raise UsageError(f"there are {len(published)} releases already; devices read no more")
    _check_line(published, line, description)
    rivals = [
        each
        for each in published
        if each.component == description.component
        and not set(each.hardware_ids).isdisjoint(description.hardware_ids)
    ]
    number = description.release
    if number is None:
        number = 1 + max((each.release for each in rivals), default=0)
    withdrawn = _withdrawn(description, number, carried.image, rivals)
    _check_step(description, number)
    left = [each for each in rivals if each not in withdrawn]
    _check_new(description, number, carried.image, left)
    taken = {each.target for each in published if each not in withdrawn}
    ending = suffix if SUFFIX_PATTERN.fullmatch(suffix) else USUAL_SUFFIX
    ending += "" if carried.format is ArtifactFormat.RAW else PACK_SUFFIX
    name = _target_name(line, description, number, ending, taken)
    return Draft(_as_read(_release(name, description, number, carried)), withdrawn)


def _check_words(description: Description) -> None:
    """What a target's name is made of; the rest is checked when it is read as a device would."""
    for name, text, pattern in (
        ("component", description.component, COMPONENT_PATTERN),
        ("version", description.version, VERSION_PATTERN),
    ):
        if pattern.fullmatch(text) is None:
            raise UsageError(
                f"{text!r} cannot be a {name}: it must match {pattern.pattern}",
                reason="malformed-release",
            )


def _entry(release: Release) -> TargetFile:
    artifact = release.artifact
    extra = {"custom": custom_for(release)}
    return TargetFile(artifact.length, {"sha256": artifact.sha256}, release.target, extra)


def _line(repository: Repository, description: Description) -> str:
    lines = ", ".join(repository.lines)
    if description.line is None and len(repository.lines) != 1:
        raise UsageError(f"which product line? --line is one of {lines}")
    line = description.line or next(iter(repository.lines))
    if line not in repository.lines:
        raise UsageError(f"there is no product line {line!r}; there are {lines}")
    return line


def _check_line(published: Sequence[Release], line: str, description: Description) -> None:
    for each in published:
        if each.component == description.component and not each.target.startswith(f"{line}/"):
            raise UsageError(
                f"component {each.component} belongs to another product line ({each.target}); a "
                "component is signed by one line only"
            )


def _check_step(description: Description, number: int) -> None:
    if description.min_release is not None and description.min_release >= number > 0:
        raise UsageError(
            f"no device can install it: release {number} of {description.component} would need "
            f"release {description.min_release} first (--min-release); a stepping stone has a "
            "lower number",
            reason="step-too-high",
        )


def _withdrawn(
    description: Description, number: int, image: Image, rivals: Sequence[Release]
) -> tuple[Release, ...]:
    """What a way back replaces: the higher releases that it names, and itself as it was before."""
    found = tuple(
        each
        for each in rivals
        if description.rollback_from
        and (
            (each.release > number and each.release in description.rollback_from)
            or (each.release == number and _same(each, description, image))
        )
    )
    for each in found:
        others = sorted(set(each.hardware_ids) - set(description.hardware_ids))
        if others:
            raise UsageError(
                f"{each.label} would be withdrawn, but is for {', '.join(others)} too; name all "
                "of its hardware",
                reason="hardware-left-out",
            )
    return found


def _same(release: Release, description: Description, image: Image) -> bool:
    there = release.image
    known = image.sha256 in (UNMEASURED, there.sha256) and image.length == there.length
    return known and release.version == description.version


def _check_new(
    description: Description, number: int, image: Image, rivals: Sequence[Release]
) -> None:
    """Higher than everything before; and nothing is published twice, but to lead back to it."""
    last = max(rivals, key=lambda each: each.release, default=None)
    if last is not None and number <= last.release:
        raise UsageError(
            f"release {number} of {description.component} is not higher than what is published "
            f"for this hardware: {last.label}; devices would not take it. To lead them back, "
            "name every higher release with --rollback-from",
            reason="release-not-higher",
        )
    if description.kind is UpdateKind.ROLLBACK:
        return
    for each in rivals:
        if each.version == description.version:
            raise UsageError(
                f"version {each.version} is published already: {each.label}",
                reason="duplicate-version",
            )
        if each.image.sha256 == image.sha256:
            raise UsageError(
                f"the same image is published already: {each.label}", reason="duplicate-image"
            )


def _target_name(
    line: str, description: Description, number: int, ending: str, taken: set[str]
) -> str:
    """LINE/COMPONENT/COMPONENT-VERSION.img, with hardware and release where that is not enough.

    Plain enough for FAT: no colon, no final dot, short enough with the digest in front.
    """
    hardware = description.hardware_ids[0].replace(":", "_") if description.hardware_ids else ""
    plain = f"{description.component}-{description.version}"
    stems = [plain, f"{plain}-{hardware}", f"{plain}-{hardware}-r{number}"]
    names = [f"{line}/{description.component}/{stem}{ending}" for stem in stems]
    name = next((each for each in names if each not in taken), names[-1])
    digest = len(UNMEASURED) + 1
    if len(name.rpartition("/")[2]) + digest > MAX_FILE_NAME or description.component[-1:] == ".":
        raise UsageError(
            f"{name} cannot be a file name on every stick; choose a shorter or plainer component "
            "and version"
        )
    return name


def _release(name: str, description: Description, number: int, carried: Carried) -> Release:
    return Release(
        target=name,
        component=ComponentId(description.component),
        version=description.version,
        release=number,
        kind=description.kind,
        hardware_ids=description.hardware_ids,
        installer=description.installer,
        format=carried.format,
        artifact=carried.artifact,
        image=carried.image,
        min_release=description.min_release,
        depends_on=description.depends_on,
        conflicts=tuple(map(ComponentId, description.conflicts)),
        rollback_to=description.rollback_to,
        rollback_from=description.rollback_from,
        security_floor=description.security_floor,
        urgency=description.urgency,
        rollout=description.rollout,
        notes=description.notes,
    )


def _as_read(release: Release) -> Release:
    artifact = release.artifact
    try:
        read = parse_custom(custom_for(release), release.target, artifact.length, artifact.sha256)
    except MetadataError as error:
        raise UsageError(str(error), reason="malformed-release") from error
    if read != release:
        raise UsageError(f"{release.target} would be read by devices as something else: {read}")
    return read
