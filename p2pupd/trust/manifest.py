"""A target's `custom` object, read strictly: what the signer says about a release.

Unknown fields are ignored unless `critical` names them; known fields of the wrong form refuse the
target. Integers and ASCII text only, as canonical JSON has no floats.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from p2pupd.errors import MetadataError
from p2pupd.model.ids import (
    COMPONENT_PATTERN,
    HARDWARE_PATTERN,
    SHA256_PATTERN,
    ComponentId,
    Sha256,
)
from p2pupd.model.numbers import LARGEST
from p2pupd.model.release import (
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
from p2pupd.trust.policy import parse_rollout, rollout_object

SCHEMA: Final = 1
MAX_LENGTH: Final = 1 << 40
MAX_RELEASE: Final = LARGEST
MAX_ITEMS: Final = 64
NOTES_PATTERN: Final = re.compile(r"[\n\t\x20-\x7e]{0,4096}", re.ASCII)
MIN_PIECE: Final = 1 << 14
MAX_PIECE: Final = 1 << 24
VERSION_PATTERN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}", re.ASCII)
TARGET_PATTERN: Final = re.compile(
    r"(?=.{1,255}\Z)[0-9A-Za-z_][0-9A-Za-z._+~-]*(/[0-9A-Za-z_][0-9A-Za-z._+~-]*)*", re.ASCII
)
"""A relative path of plain names: nothing in it can leave a directory, or begin with a dot."""
HONOURED: Final = frozenset(
    [
        "schema",
        "componentId",
        "version",
        "release",
        "kind",
        "hardwareIds",
        "installer",
        "bt",
        "format",
        "image",
        "minRelease",
        "dependsOn",
        "conflicts",
        "rollbackTo",
        "rollbackFrom",
        "securityFloor",
        "urgency",
        "rollout",
        "notes",
        "critical",
    ]
)
"""What `critical` may name. `recipients` are read, but nothing follows from them."""

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def parse_custom(custom: Mapping[str, Any], target_name: str, length: int, sha256: str) -> Release:
    """The release that `custom` of the target describes; `length` and `sha256` are the target's.

    Raises MetadataError that names the target and the field.
    """
    if TARGET_PATTERN.fullmatch(target_name) is None:
        raise MetadataError(f"target {target_name[:80]!r}: not a plain relative path")
    if not isinstance(custom, Mapping):
        raise MetadataError(f"target {target_name}: custom: must be an object")
    fields = _Fields(custom, target_name)
    fields.check_critical()
    if fields.integer("schema") != SCHEMA:
        raise fields.wrong("schema", f"this daemon reads schema {SCHEMA}")
    fields.check_plain()
    artifact = _artifact(fields, length, sha256)
    carried_as = fields.choice("format", ArtifactFormat)
    return Release(
        target=target_name,
        component=ComponentId(fields.text("componentId", COMPONENT_PATTERN)),
        version=fields.text("version", VERSION_PATTERN),
        release=fields.integer("release"),
        kind=fields.choice("kind", UpdateKind),
        hardware_ids=fields.texts("hardwareIds", HARDWARE_PATTERN, least=1),
        installer=fields.choice("installer", InstallerKind),
        format=carried_as,
        artifact=artifact,
        image=fields.image(artifact, carried_as),
        min_release=fields.integer("minRelease", None),
        depends_on=fields.dependencies("dependsOn"),
        conflicts=tuple(map(ComponentId, fields.texts("conflicts", COMPONENT_PATTERN))),
        rollback_to=fields.integer("rollbackTo", None),
        rollback_from=fields.integers("rollbackFrom"),
        security_floor=fields.integer("securityFloor", 0),
        urgency=fields.choice("urgency", Urgency, Urgency.NORMAL),
        rollout=fields.rollout("rollout"),
        notes=fields.notes("notes"),
    )


def _artifact(fields: "_Fields", length: int, sha256: str) -> Artifact:
    if not 0 < length <= MAX_LENGTH:
        raise fields.refused(f"a length of {length} bytes is not within 1 to {MAX_LENGTH}")
    if SHA256_PATTERN.fullmatch(sha256) is None:
        raise fields.refused("hashes.sha256 is missing or malformed")
    return Artifact(length, Sha256(sha256), *fields.torrent())


def custom_for(release: Release) -> dict[str, Any]:
    """The `custom` object from which `parse_custom` reads the same release."""
    custom: dict[str, Any] = {
        "schema": SCHEMA,
        "componentId": release.component,
        "version": release.version,
        "release": release.release,
        "kind": str(release.kind),
        "hardwareIds": list(release.hardware_ids),
        "installer": str(release.installer),
        "bt": {
            "piecesRoot": release.artifact.pieces_root,
            "pieceLength": release.artifact.piece_length,
        },
        "format": str(release.format),
        "urgency": str(release.urgency),
    }
    image = {"length": release.image.length, "sha256": release.image.sha256}
    optional: dict[str, Any] = {
        "image": None if release.format is ArtifactFormat.RAW else image,
        "minRelease": release.min_release,
        "dependsOn": [
            {"componentId": each.component, "minRelease": each.min_release}
            for each in release.depends_on
        ],
        "conflicts": list(release.conflicts),
        "rollbackTo": release.rollback_to,
        "rollbackFrom": list(release.rollback_from),
        "securityFloor": release.security_floor or None,
        "rollout": rollout_object(release.rollout),
        "notes": release.notes,
    }
    given = {name: value for name, value in optional.items() if value not in (None, [], {}, "")}
    return custom | given


_REQUIRED: Final = object()


class _Fields:
    """Reads one field after the other; every refusal names target and field."""

    def __init__(self, custom: Mapping[str, Any], target: str, within: str = "custom") -> None:
        self._custom = custom
        self._target = target
        self._within = within

    def refused(self, why: str) -> MetadataError:
        return MetadataError(f"target {self._target}: {why}")

    def wrong(self, name: str, why: str) -> MetadataError:
        return self.refused(f"{self._within}.{name}: {why}")

    def check_critical(self) -> None:
        unknown = sorted(set(self._list("critical", str)) - HONOURED)
        if unknown:
            raise self.wrong("critical", f"this daemon does not honour {str(unknown)[:200]}")

    def check_plain(self) -> None:
        """The fields that say nothing to this daemon are at least well-formed."""
        recipients = self._custom.get("recipients", [])
        good = isinstance(recipients, list)
        if not good or not all(isinstance(each, dict) for each in recipients):
            raise self.wrong("recipients", "must be a list of objects")

    def integer(self, name: str, default: Any = _REQUIRED) -> Any:
        if name not in self._custom and default is not _REQUIRED:
            return default
        return self._number(name, self._custom.get(name))

    def _number(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RELEASE:
            raise self.wrong(name, "must be a whole number from 0 on")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        return tuple(self._number(name, each) for each in self._list(name, int))

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._custom.get(name)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self.wrong(name, f"must be text that matches {pattern.pattern}")
        return value

    def texts(self, name: str, pattern: re.Pattern[str], least: int = 0) -> tuple[str, ...]:
        values = self._list(name, str)
        if len(values) < least or any(pattern.fullmatch(each) is None for each in values):
            raise self.wrong(name, f"must be {least} or more texts that match {pattern.pattern}")
        return tuple(values)

    def choice(self, name: str, kind: type[E], default: E | None = None) -> E:
        value = self._custom.get(name, default)
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(kind)
            raise self.wrong(name, f"{str(value)[:80]!r} is none of {known}") from None

    def torrent(self) -> tuple[Sha256, int]:
        bt = self._custom.get("bt")
        if not isinstance(bt, dict):
            raise self.wrong("bt", "must be an object with piecesRoot and pieceLength")
        inner = _Fields(bt, self._target, "custom.bt")
        root = inner.text("piecesRoot", SHA256_PATTERN)
        length = inner.integer("pieceLength")
        if not MIN_PIECE <= length <= MAX_PIECE or length & (length - 1):
            raise inner.wrong("pieceLength", f"no power of two from {MIN_PIECE} to {MAX_PIECE}")
        return Sha256(root), length

    def image(self, artifact: Artifact, carried_as: ArtifactFormat) -> Image:
        """What is installed. With `raw` it is the carried file, and need not be said."""
        carried = Image(artifact.length, artifact.sha256)
        raw = carried_as is ArtifactFormat.RAW
        if raw and "image" not in self._custom:
            return carried
        if not isinstance(self._custom.get("image"), dict):
            raise self.wrong("image", "must be an object with length and sha256")
        inner = _Fields(self._custom["image"], self._target, "custom.image")
        length = inner.integer("length")
        if not 0 < length <= MAX_LENGTH:
            raise inner.wrong("length", f"{length} bytes are not within 1 to {MAX_LENGTH}")
        said = Image(length, Sha256(inner.text("sha256", SHA256_PATTERN)))
        if raw and said != carried:
            raise self.wrong("image", "is not the target itself, although the format is raw")
        return said

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        found = []
        for each in self._list(name, dict):
            inner = _Fields(each, self._target, f"custom.{name}")
            component = ComponentId(inner.text("componentId", COMPONENT_PATTERN))
            found.append(Dependency(component, inner.integer("minRelease", 0)))
        return tuple(found)

    def rollout(self, name: str) -> Rollout:
        try:
            return parse_rollout(self._custom.get(name, {}))
        except ValueError as error:
            raise self.wrong(name, str(error)) from None

    def notes(self, name: str) -> str:
        value = self._custom.get(name, "")
        if not isinstance(value, str) or NOTES_PATTERN.fullmatch(value) is None:
            raise self.wrong(name, "must be printable ASCII text of at most 4096 characters")
        return value

    def _list(self, name: str, kind: type[T]) -> list[T]:
        values = self._custom.get(name, [])
        good = isinstance(values, list) and len(values) <= MAX_ITEMS
        if not good or not all(isinstance(each, kind) for each in values):
            raise self.wrong(name, f"must be a list of at most {MAX_ITEMS} of its kind")
        return list(values)
