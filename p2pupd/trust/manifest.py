"""A target's `custom` object, read strictly: what the signer says about a release.

Unknown fields are ignored unless `critical` names them; known fields of the wrong form refuse the
target. Integers and ASCII text only, as canonical JSON has no floats.
"""

import re
from collections.abc import Callable, Mapping
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

SCHEMA: Final = 1
MAX_LENGTH: Final = 1 << 40
MAX_RELEASE: Final = (1 << 53) - 1
MAX_ITEMS: Final = 64
MAX_NOTES: Final = 4096
MIN_PIECE: Final = 1 << 14
MAX_PIECE: Final = 1 << 24
VERSION_PATTERN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}", re.ASCII)
KNOWN: Final = frozenset(
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
        "recipients",
        "notes",
        "critical",
    ]
)

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def parse_custom(custom: Mapping[str, Any], target_name: str, length: int, sha256: str) -> Release:
    """The release that `custom` of the target describes; `length` and `sha256` are the target's.

    Raises MetadataError that names the target and the field.
    """
    fields = _Fields(custom, target_name)
    fields.check_critical()
    if fields.integer("schema") != SCHEMA:
        raise fields.wrong("schema", f"this daemon reads schema {SCHEMA}")
    artifact = Artifact(
        fields.checked("length", length, lambda it: 0 < it <= MAX_LENGTH),
        Sha256(fields.checked("sha256", sha256, lambda it: bool(SHA256_PATTERN.fullmatch(it)))),
        *fields.torrent(),
    )
    return Release(
        target=target_name,
        component=ComponentId(fields.text("componentId", COMPONENT_PATTERN)),
        version=fields.text("version", VERSION_PATTERN),
        release=fields.integer("release"),
        kind=fields.choice("kind", UpdateKind, UpdateKind.FIRMWARE),
        hardware_ids=fields.texts("hardwareIds", HARDWARE_PATTERN, least=1),
        installer=fields.choice("installer", InstallerKind, None),
        format=fields.choice("format", ArtifactFormat, None),
        artifact=artifact,
        image=Image(artifact.length, artifact.sha256),
        min_release=fields.integer("minRelease", None),
        depends_on=fields.dependencies("dependsOn"),
        conflicts=tuple(map(ComponentId, fields.texts("conflicts", COMPONENT_PATTERN))),
        rollback_to=fields.integer("rollbackTo", None),
        rollback_from=fields.integers("rollbackFrom"),
        security_floor=fields.integer("securityFloor", 0) or 0,
        urgency=fields.choice("urgency", Urgency, Urgency.NORMAL),
        notes=fields.notes("notes"),
    )


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
    optional: dict[str, Any] = {
        "minRelease": release.min_release,
        "dependsOn": [
            {"componentId": each.component, "minRelease": each.min_release}
            for each in release.depends_on
        ],
        "conflicts": list(release.conflicts),
        "rollbackTo": release.rollback_to,
        "rollbackFrom": list(release.rollback_from),
        "securityFloor": release.security_floor or None,
        "notes": release.notes,
    }
    given = {name: value for name, value in optional.items() if value not in (None, [], "")}
    return custom | given


class _Required:
    pass


_REQUIRED: Final = _Required()


class _Fields:
    """Reads one field after the other; every refusal names target and field."""

    def __init__(self, custom: Mapping[str, Any], target: str) -> None:
        self._custom = custom
        self._target = target

    def wrong(self, name: str, why: str) -> MetadataError:
        return MetadataError(f"target {self._target}: custom.{name}: {why}")

    def check_critical(self) -> None:
        critical = self._list("critical", str)
        unknown = sorted(set(critical) - KNOWN)
        if unknown:
            raise self.wrong("critical", f"this daemon does not know {', '.join(unknown)[:200]}")

    def checked(self, name: str, value: T, good: Callable[[T], bool]) -> T:
        if not good(value):
            raise self.wrong(name, f"{str(value)[:80]!r} is out of range or malformed")
        return value

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

    def choice(self, name: str, kind: type[E], default: E | None) -> E:
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
        inner = _Fields(bt, self._target)
        root = inner.text("piecesRoot", SHA256_PATTERN)
        length = inner.integer("pieceLength")
        if not MIN_PIECE <= length <= MAX_PIECE or length & (length - 1):
            raise self.wrong("bt", f"pieceLength must be a power of two from {MIN_PIECE} on")
        return Sha256(root), length

    def dependencies(self, name: str) -> tuple[Dependency, ...]:
        found = []
        for each in self._list(name, dict):
            inner = _Fields(each, self._target)
            component = ComponentId(inner.text("componentId", COMPONENT_PATTERN))
            found.append(Dependency(component, inner.integer("minRelease", 0)))
        return tuple(found)

    def notes(self, name: str) -> str:
        value = self._custom.get(name, "")
        if not isinstance(value, str) or not value.isascii() or len(value) > MAX_NOTES:
            raise self.wrong(name, f"must be ASCII text of at most {MAX_NOTES} characters")
        return value

    def _list(self, name: str, kind: type[T]) -> list[T]:
        values = self._custom.get(name, [])
        good = isinstance(values, list) and len(values) <= MAX_ITEMS
        if not good or not all(isinstance(each, kind) for each in values):
            raise self.wrong(name, f"must be a list of at most {MAX_ITEMS} of its kind")
        return list(values)
