"""Adding releases: numbers only rise, nothing is published twice, and every word is checked."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from p2pupd.core.merkle import PiecesRoot
from p2pupd.errors import MetadataError, NotARepository, UsageError
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import Dependency, InstallerKind, Release, UpdateKind, Urgency
from p2pupd.model.rollout import Rollout, Wave
from p2pupd.publisher import releases
from p2pupd.publisher.edition import Edition
from p2pupd.publisher.intake import Carried
from p2pupd.publisher.releases import Description
from p2pupd.publisher.repository import load
from tests.publishing import Device, Publisher


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def believed(publisher: Publisher) -> tuple[Release, ...]:
    """What a device that has just been made reads."""
    repository = publisher.read()
    state = publisher.directory.with_name(f"device-{repository.timestamp.signed.version}")
    found = Device(state, repository.anchor).accept(repository).releases
    return tuple(sorted(found, key=lambda each: each.release))


def carried(publisher: Publisher, release: Release) -> Path:
    place = publisher.directory / "targets" / release.target
    return place.with_name(f"{release.artifact.sha256}.{place.name}")


def test_a_device_reads_what_was_added(publisher: Publisher) -> None:
    added = publisher.add(7, size=150_000)
    assert believed(publisher) == (added,)
    content = publisher.image(150_000, seed=7).read_bytes()
    assert carried(publisher, added).read_bytes() == content
    assert added.artifact.length == 150_000
    assert added.artifact.sha256 == hashlib.sha256(content).hexdigest()
    root = PiecesRoot()
    root.update(content)
    assert added.artifact.pieces_root == root.digest().hex()
    assert added.artifact.piece_length == 16384
    assert added.target == "gateway/gateway-os/gateway-os-1.7.img"
    assert carried(publisher, added).stat().st_mode & 0o777 == 0o644


def test_every_field_arrives(publisher: Publisher) -> None:
    said: dict[str, Any] = {
        "hardware_ids": ("acme-gw2", "acme:gw3"),
        "kind": UpdateKind.SECURITY,
        "installer": InstallerKind.SLOTS,
        "min_release": 3,
        "depends_on": (Dependency(ComponentId("bootloader"), 2),),
        "conflicts": ("legacy-os",),
        "rollback_to": 5,
        "rollback_from": (9, 10),
        "security_floor": 4,
        "urgency": Urgency.EMERGENCY,
        "rollout": Rollout((Wave(250, 60), Wave(1000)), ("lab",), 30, 200, ("22:00-05:00",), 9, 2),
        "notes": "closes a hole",
    }
    release = publisher.add(7, **said)
    assert believed(publisher) == (release,)
    assert {name: getattr(release, name) for name in said} == said
    assert {each.name for each in fields(Description)} - set(said) == {
        "component",
        "version",
        "line",
        "release",
    }


def test_the_number_is_the_last_one_and_one_for_the_same_hardware(publisher: Publisher) -> None:
    various: list[dict[str, Any]] = [
        {},
        {},
        {"hardware_ids": ("acme-gw9",)},
        {"component": "panel"},
        {"hardware_ids": ("acme-gw9", "acme-gw2")},
    ]
    numbers = [
        publisher.add(seed, version=f"v{seed}", release=None, **said).release
        for seed, said in enumerate(various, start=1)
    ]
    assert numbers == [1, 2, 1, 1, 3]


@pytest.mark.parametrize("number", [6, 7])
def test_a_release_that_is_not_higher_is_refused(publisher: Publisher, number: int) -> None:
    publisher.add(7)
    with pytest.raises(UsageError, match=r"not higher .*gateway-os 1.7 \(release 7\)") as caught:
        publisher.add(number, version="other")
    assert caught.value.reason == "release-not-higher"
    assert [each.release for each in believed(publisher)] == [7]


def test_a_version_is_not_published_twice(publisher: Publisher) -> None:
    publisher.add(7)
    with pytest.raises(UsageError, match=r"version 1.7 is published already") as caught:
        publisher.add(8, version="1.7")
    assert caught.value.reason == "duplicate-version"


def test_an_image_is_not_published_twice(publisher: Publisher) -> None:
    publisher.add(7)
    again = Description("gateway-os", "1.8", ("acme-gw2",))
    image = publisher.image(seed=7)
    with pytest.raises(UsageError, match="same image is published already") as caught:
        releases.add(
            publisher.directory, image, again, publisher.signing(), lambda _: None, raw=True
        )
    assert caught.value.reason == "duplicate-image"
    assert not list((publisher.directory / "targets").glob(".incoming-*"))


def test_the_same_version_for_other_hardware_gets_a_name_of_its_own(publisher: Publisher) -> None:
    same: dict[str, Any] = {"version": "1.0", "release": None, "kind": UpdateKind.ROLLBACK}
    targets = [
        publisher.add(seed, **same, hardware_ids=(hardware,)).target
        for seed, hardware in enumerate(["gw:1", "gw:2", "gw:2"], start=1)
    ]
    assert targets == [
        "gateway/gateway-os/gateway-os-1.0.img",
        "gateway/gateway-os/gateway-os-1.0-gw_2.img",
        "gateway/gateway-os/gateway-os-1.0-gw_2-r2.img",
    ]
    assert len(believed(publisher)) == 3


def test_old_content_may_come_again_as_a_rollback_with_a_higher_number(
    publisher: Publisher,
) -> None:
    publisher.add(1)
    publisher.add(2)
    back = Description("gateway-os", "1.1", ("acme-gw2",), kind=UpdateKind.ROLLBACK)
    image = publisher.image(seed=1)
    added = releases.add(
        publisher.directory, image, back, publisher.signing(), lambda _: None, raw=True
    )
    assert added.release == 3
    assert [each.release for each in believed(publisher)] == [1, 2, 3]


def test_a_signed_way_back_takes_what_it_leads_away_from_off_the_list(
    publisher: Publisher,
) -> None:
    publisher.add(6)
    publisher.add(7)
    added = publisher.add(6, rollback_from=(7,))
    assert believed(publisher) == (added,)
    assert added.rollback_from == (7,)
    assert publisher.add(8).release == 8


def test_a_way_back_names_every_higher_release(publisher: Publisher) -> None:
    for number in (6, 7, 8):
        publisher.add(number)
    with pytest.raises(UsageError, match=r"name every higher release with --rollback-from"):
        publisher.add(6, rollback_from=(7,))
    publisher.add(6, rollback_from=(7, 8))
    assert [each.release for each in believed(publisher)] == [6]


def test_a_way_back_is_the_very_release_that_was_published(publisher: Publisher) -> None:
    publisher.add(6)
    publisher.add(7)
    with pytest.raises(UsageError, match="not higher"):
        publisher.add(6, rollback_from=(7,), version="1.6-other")
    with pytest.raises(UsageError, match="not higher"):
        publisher.add(6, rollback_from=(7,), size=100_001)
    other = Description("gateway-os", "1.6", ("acme-gw2",), release=6, rollback_from=(7,))
    image = publisher.image(seed=99)
    with pytest.raises(UsageError, match="not higher"):
        releases.add(
            publisher.directory, image, other, publisher.signing(), lambda _: None, raw=True
        )
    assert [each.release for each in believed(publisher)] == [6, 7]


def test_a_way_back_for_half_the_hardware_is_refused(publisher: Publisher) -> None:
    publisher.add(6)
    publisher.add(7, hardware_ids=("acme-gw2", "acme-gw3"))
    with pytest.raises(UsageError, match="is for acme-gw3 too") as caught:
        publisher.add(6, rollback_from=(7,))
    assert caught.value.reason == "hardware-left-out"


def test_with_several_lines_one_must_be_named(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path, ("gateway", "panel"))
    with pytest.raises(UsageError, match="--line is one of gateway, panel"):
        publisher.add(1)
    with pytest.raises(UsageError, match="no product line 'door'"):
        publisher.add(1, line="door")
    assert publisher.add(1, line="panel").target.startswith("panel/")
    with pytest.raises(UsageError, match="belongs to another product line"):
        publisher.add(2, line="gateway")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"component": "Gateway OS"}, "cannot be a component"),
        ({"component": "../../etc"}, "cannot be a component"),
        ({"component": ""}, "cannot be a component"),
        ({"version": "1.0/../../x"}, "cannot be a version"),
        ({"version": ""}, "cannot be a version"),
        ({"hardware_ids": ()}, "hardwareIds"),
        ({"hardware_ids": ("a b",)}, "hardwareIds"),
        ({"release": -1}, "not higher|whole number"),
        ({"min_release": -1}, "minRelease"),
        ({"security_floor": -1}, "securityFloor"),
        ({"notes": "schöner"}, "ASCII"),
        ({"notes": "x" * 5000}, "4096"),
        ({"conflicts": ("A",)}, "conflicts"),
        ({"depends_on": (Dependency(ComponentId("A b"), 1),)}, "componentId"),
        ({"component": "dotted."}, "cannot be a file name on every stick"),
    ],
)
def test_what_a_device_would_not_read_is_refused_before_copying(
    publisher: Publisher, said: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        publisher.add(1, **said)
    assert list((publisher.directory / "targets").iterdir()) == []


def test_a_name_that_no_stick_can_hold_is_refused(publisher: Publisher) -> None:
    said: dict[str, Any] = {"component": "c" * 64, "version": "1" * 64}
    publisher.add(1, **said, hardware_ids=("h" * 60,))
    with pytest.raises(UsageError, match="shorter or plainer"):
        publisher.add(2, **said, release=1, hardware_ids=("i" * 60,))


def test_a_strange_suffix_becomes_the_usual_one(publisher: Publisher, tmp_path: Path) -> None:
    for number, (name, suffix) in enumerate(
        {"a.squashfs": ".squashfs", "b.": ".img", "c.what is this": ".img", "d": ".img"}.items(), 1
    ):
        image = tmp_path / name
        image.write_bytes(name.encode())
        said = Description("gateway-os", f"1.{number}", ("acme-gw2",))
        added = releases.add(
            publisher.directory, image, said, publisher.signing(), lambda _: None, raw=True
        )
        assert added.target == f"gateway/gateway-os/gateway-os-1.{number}{suffix}"


def test_missing_keys_are_said_before_copying(publisher: Publisher) -> None:
    publisher.key_file("gateway").unlink()
    with pytest.raises(UsageError, match="gateway must be signed by 1"):
        publisher.add(1)
    assert list((publisher.directory / "targets").iterdir()) == []


def test_there_must_be_a_repository(publisher: Publisher, tmp_path: Path) -> None:
    publisher.directory = tmp_path / "elsewhere"
    with pytest.raises(NotARepository, match="repo init"):
        publisher.add(1)


def test_a_list_that_devices_could_not_read_is_not_written(publisher: Publisher) -> None:
    publisher.add(1, notes="x" * 4000)
    repository = publisher.read()
    listed = repository.lines["gateway"].signed.targets
    (entry,) = listed.values()
    for number in range(2, 140):
        listed[f"gateway/gateway-os/{number}"] = entry
    signing = publisher.signing()
    edition = Edition(repository, signing.ring, signing.settings, signing.now)
    with pytest.raises(MetadataError, match="devices read 524288 at most"):
        edition.issue("gateway")


def test_adding_at_the_same_time_loses_nothing(publisher: Publisher) -> None:
    def add(seed: int) -> int:
        return publisher.add(seed, release=None, size=300_000).release

    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(add, range(1, 7)))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert sorted(each.release for each in believed(publisher)) == [1, 2, 3, 4, 5, 6]
    assert all(carried(publisher, each).is_file() for each in believed(publisher))


def test_more_releases_than_devices_read_are_refused(publisher: Publisher) -> None:
    publisher.add(1)
    repository = load(publisher.directory)
    targets = repository.lines["gateway"].signed.targets
    (entry,) = targets.values()
    for number in range(4096):
        targets[f"gateway/other/{number}"] = entry
    said = Description("gateway-os", "2", ("acme-gw2",))
    (known,) = believed(publisher)
    with pytest.raises(UsageError, match="devices read no more"):
        releases.draft(
            repository, "gateway", said, ".img", Carried(known.format, known.artifact, known.image)
        )


def test_progress_ends_with_the_length(publisher: Publisher) -> None:
    seen: list[int] = []
    note: Callable[[int], None] = seen.append
    said = Description("gateway-os", "1", ("acme-gw2",))
    image = publisher.image(3_000_000)
    releases.add(publisher.directory, image, said, publisher.signing(), note, raw=True)
    assert seen == [1 << 20, 2 << 20, 3_000_000]
