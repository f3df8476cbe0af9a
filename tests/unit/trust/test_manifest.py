from typing import Any, cast

import pytest

from p2pupd.errors import MetadataError
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import ArtifactFormat, Dependency, Release, UpdateKind, Urgency
from p2pupd.model.rollout import Rollout, Wave
from p2pupd.trust.manifest import MAX_ITEMS, MAX_LENGTH, MAX_RELEASE, custom_for, parse_custom
from tests.builders import a_pack, a_release

PLAIN = a_release()
BT = {"piecesRoot": "0" * 64, "pieceLength": 1 << 14}
IMAGE = {"length": PLAIN.artifact.length, "sha256": PLAIN.artifact.sha256}
LEFT_OUT = object()


def parse(
    target: str = PLAIN.target,
    length: int = PLAIN.artifact.length,
    sha256: str = PLAIN.artifact.sha256,
    **changes: Any,
) -> Release:
    """The release of a good `custom` with these changes."""
    custom = custom_for(PLAIN) | changes
    given = {name: value for name, value in custom.items() if value is not LEFT_OUT}
    return parse_custom(given, target, length, sha256)


def changed(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def test_everything_a_signer_can_say_is_read() -> None:
    release = parse(
        kind="rollback",
        minRelease=3,
        dependsOn=[{"componentId": "boot", "minRelease": 2}, {"componentId": "radio"}],
        conflicts=["old-app"],
        rollbackTo=5,
        rollbackFrom=[6, 7],
        securityFloor=4,
        urgency="emergency",
        notes="First line\n\tsecond",
        image=IMAGE,
    )
    assert release.kind is UpdateKind.ROLLBACK
    assert release.min_release == 3
    assert release.depends_on == (
        Dependency(ComponentId("boot"), 2),
        Dependency(ComponentId("radio"), 0),
    )
    assert release.conflicts == ("old-app",)
    assert (release.rollback_to, release.rollback_from) == (5, (6, 7))
    assert release.security_floor == 4
    assert release.urgency is Urgency.EMERGENCY
    assert release.notes == "First line\n\tsecond"
    assert release.image.sha256 == PLAIN.artifact.sha256


def test_what_may_be_left_out_has_its_default() -> None:
    release = parse(urgency=LEFT_OUT)
    assert release == PLAIN
    assert release.urgency is Urgency.NORMAL
    assert release.min_release is None


def test_unknown_fields_are_ignored_until_they_are_critical() -> None:
    assert parse(later={"x": 1}) == PLAIN
    assert parse(critical=["minRelease", "schema"]) == PLAIN
    with pytest.raises(MetadataError, match=r"custom.critical: .*does not honour \['later'\]"):
        parse(later={"x": 1}, critical=["later"])


def test_what_is_read_but_not_acted_upon_cannot_be_critical() -> None:
    assert parse(recipients=[{"id": "x"}] * 100) == PLAIN
    with pytest.raises(MetadataError, match="does not honour"):
        parse(critical=["recipients"])


def test_a_rollout_policy_is_read_and_may_be_critical() -> None:
    said = {"waves": [{"permille": 250}, {"permille": 1000}], "maxFailuresPermille": 200}
    release = parse(rollout=said, critical=["rollout"])
    assert release.rollout == Rollout(waves=(Wave(250), Wave(1000)), max_failures=200)


def test_a_format_of_a_later_version_is_named() -> None:
    with pytest.raises(MetadataError, match=r"gateway-os-1.7.img: custom.format: 'pack2' is none"):
        parse(format="pack2")


def test_a_pack_says_what_it_unpacks_to() -> None:
    packed = a_pack()
    custom = custom_for(packed)
    assert custom["format"] == "pack1"
    assert custom["image"] == {"length": packed.image.length, "sha256": packed.image.sha256}
    assert parse(**custom) == packed


def test_a_pack_whose_image_is_the_carried_file_by_number_is_still_a_pack() -> None:
    assert parse(format="pack1", image=IMAGE).format is ArtifactFormat.PACK1


def test_a_pack_that_does_not_say_what_it_unpacks_to_is_refused() -> None:
    with pytest.raises(MetadataError, match=r"custom\.image: must be an object with length and"):
        parse(format="pack1")


@pytest.mark.parametrize("length", [0, MAX_LENGTH + 1])
def test_an_image_of_no_length_that_can_be_is_refused(length: int) -> None:
    with pytest.raises(MetadataError, match=rf"custom\.image\.length: {length} bytes are not"):
        parse(format="pack1", image=IMAGE | {"length": length})


def test_an_image_beside_a_raw_target_is_the_target_or_refused() -> None:
    assert parse(image=IMAGE) == PLAIN
    other = IMAGE | {"length": PLAIN.artifact.length + 1}
    with pytest.raises(MetadataError, match="although the format is raw"):
        parse(image=other)


@pytest.mark.parametrize("name", ["schema", "componentId", "version", "release", "kind"])
def test_a_missing_field_refuses_the_target_by_name(name: str) -> None:
    with pytest.raises(MetadataError, match=f"target {PLAIN.target}: custom.{name}: "):
        parse(**changed(name, LEFT_OUT))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", 2),
        ("schema", True),
        ("componentId", "Gateway"),
        ("componentId", "../x"),
        ("version", "1.4\x1b[31m"),
        ("version", "1.4 beta"),
        ("release", -1),
        ("release", MAX_RELEASE + 1),
        ("release", "7"),
        ("release", True),
        ("kind", "surprise"),
        ("kind", ["firmware"]),
        ("hardwareIds", []),
        ("hardwareIds", LEFT_OUT),
        ("hardwareIds", "acme"),
        ("hardwareIds", ["a b"]),
        ("hardwareIds", ["a"] * (MAX_ITEMS + 1)),
        ("installer", LEFT_OUT),
        ("installer", "magic"),
        ("format", LEFT_OUT),
        ("bt", LEFT_OUT),
        ("bt", []),
        ("minRelease", None),
        ("dependsOn", {}),
        ("dependsOn", ["boot"]),
        ("conflicts", [1]),
        ("rollbackTo", "5"),
        ("rollbackFrom", [True]),
        ("securityFloor", -1),
        ("urgency", "now"),
        ("rollout", []),
        ("recipients", {}),
        ("recipients", ["id"]),
        ("notes", "é"),
        ("notes", "\x1b[2J"),
        ("notes", "x" * 4097),
        ("notes", 5),
        ("critical", "schema"),
        ("critical", [1]),
        ("image", []),
        ("image", IMAGE | {"length": 5}),
    ],
)
def test_a_field_of_the_wrong_form_refuses_the_target_by_name(name: str, value: Any) -> None:
    with pytest.raises(MetadataError, match=f"custom.{name}: "):
        parse(**changed(name, value))


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("bt.piecesRoot", {"bt": BT | {"piecesRoot": "0" * 63}}),
        ("bt.pieceLength", {"bt": BT | {"pieceLength": 1 << 13}}),
        ("bt.pieceLength", {"bt": BT | {"pieceLength": 1 << 25}}),
        ("bt.pieceLength", {"bt": BT | {"pieceLength": 3 << 13}}),
        ("dependsOn.componentId", {"dependsOn": [{}]}),
        ("image.sha256", {"image": {"length": 5}}),
        ("image.sha256", {"format": "pack1", "image": {"length": 5, "sha256": "0" * 63}}),
        ("image.length", {"format": "pack1", "image": {"sha256": "0" * 64}}),
    ],
)
def test_a_field_within_a_field_is_named_whole(where: str, changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match=f"custom.{where}: "):
        parse(**changes)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/./b",
        "a/",
        ".hidden",
        "a\\b",
        "a b",
        "a\n",
        "é",
        "a" * 256,
    ],
)
def test_a_target_path_that_could_leave_its_directory_is_refused(target: str) -> None:
    with pytest.raises(MetadataError, match="not a plain relative path"):
        parse(target)


def test_length_and_digest_of_the_target_are_checked() -> None:
    for length in (0, MAX_LENGTH + 1):
        with pytest.raises(MetadataError, match=f"length of {length} bytes"):
            parse(length=length)
    with pytest.raises(MetadataError, match=r"hashes\.sha256"):
        parse(sha256="")


def test_custom_that_is_no_object_is_refused() -> None:
    with pytest.raises(MetadataError, match="custom: must be an object"):
        parse_custom(cast("dict[str, Any]", []), PLAIN.target, 1, "0" * 64)
