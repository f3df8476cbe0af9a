"""Releases travel in packs, unless that cannot pay; and what an update brings is told before."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from p2pupd.core.merkle import piece_length_of_pack
from p2pupd.core.piece_layer import PieceLayer
from p2pupd.errors import ContentError, HostError, PackError, UsageError
from p2pupd.model.ids import Sha256
from p2pupd.model.release import ArtifactFormat, Image, Release, UpdateKind
from p2pupd.publisher import releases
from p2pupd.publisher.comparing import compare
from p2pupd.publisher.releases import Description
from tests.packing import noise, packed, prose, unpacked
from tests.publishing import Publisher

MIB = 1 << 20


class Engineer(Publisher):
    """Publishes what it is given, and hears what is said about it."""

    def publish(self, number: int, image: bytes, **said: Any) -> tuple[Release, list[str]]:
        path = self.directory.with_name(f"os-{number}.img")
        path.write_bytes(image)
        described = Description("gateway-os", f"1.{number}", ("acme-gw2",), **said)
        heard: list[str] = []
        added = releases.add(
            self.directory, path, described, self.signing(), lambda _: None, tell=heard.append
        )
        return added, heard

    def carried(self, release: Release) -> bytes:
        return self.read().file_of(release).read_bytes()


@pytest.fixture
def engineer(tmp_path: Path) -> Engineer:
    return Engineer(tmp_path)


def changed(image: bytes, seed: int = 7) -> bytes:
    """With 3000 other bytes in the middle."""
    middle = len(image) // 2
    return image[:middle] + noise(3000, seed) + image[middle + 3000 :]


def digest(content: bytes) -> Sha256:
    return Sha256(hashlib.sha256(content).hexdigest())


def test_a_release_travels_in_a_pack_and_says_what_it_unpacks_to(engineer: Engineer) -> None:
    content = prose(2 * MIB) + bytes(MIB)
    added, heard = engineer.publish(1, content)
    raw = engineer.carried(added)
    assert added.format is ArtifactFormat.PACK1
    assert added.image == Image(len(content), digest(content))
    assert (added.artifact.length, added.artifact.sha256) == (len(raw), digest(raw))
    assert added.target.endswith("gateway-os-1.1.img.pack")
    assert unpacked(raw) == content
    assert len(raw) < len(content) // 2
    assert heard == [
        f"the pack has {len(raw)} bytes, {len(raw) / len(content):.1%} of the image's "
        f"{len(content)}"
    ]


def test_the_layer_beside_a_pack_proves_itself(engineer: Engineer) -> None:
    added, _ = engineer.publish(1, noise(3 * MIB))
    place = engineer.read().file_of(added)
    layer = PieceLayer.proved(added.artifact, Path(f"{place}.layer").read_bytes())
    assert added.artifact.piece_length == piece_length_of_pack(added.artifact.length)
    assert layer.matches(0, engineer.carried(added)[: added.artifact.piece_length])


def test_the_same_releases_make_the_same_packs(tmp_path: Path) -> None:
    first, second = Engineer(tmp_path / "first"), Engineer(tmp_path / "second")
    for number, content in ((1, noise(MIB)), (2, changed(noise(MIB)))):
        one, other = first.publish(number, content)[0], second.publish(number, content)[0]
        assert one.artifact == other.artifact


def test_the_next_release_is_packed_after_the_one_before(engineer: Engineer) -> None:
    before, _ = engineer.publish(1, noise(2 * MIB))
    content = changed(noise(2 * MIB))
    added, heard = engineer.publish(2, content)
    earlier = packed(noise(2 * MIB))
    assert engineer.carried(before) == earlier.raw
    assert engineer.carried(added) == packed(content, earlier).raw
    assert "with gateway-os 1.1 (release 1) a device fetches" in heard[0]


def test_what_was_published_raw_still_tells_what_an_update_brings(engineer: Engineer) -> None:
    engineer.add(1, size=2 * MIB, raw=True)
    content = changed(engineer.image(2 * MIB, seed=1).read_bytes())
    _, heard = engineer.publish(2, content)
    assert "a device fetches" in heard[0]


def test_a_damaged_pack_of_the_release_before_is_told_and_left_out(engineer: Engineer) -> None:
    before, _ = engineer.publish(1, noise(MIB))
    place = engineer.read().file_of(before)
    place.write_bytes(place.read_bytes()[:5000])
    added, heard = engineer.publish(2, changed(noise(MIB)))
    assert "warning: gateway-os 1.1 (release 1) is not taken into account: the pack" in heard[0]
    assert engineer.carried(added) == packed(changed(noise(MIB))).raw


def test_a_release_before_whose_file_is_not_here_is_left_out(engineer: Engineer) -> None:
    before, _ = engineer.publish(1, noise(MIB))
    engineer.read().file_of(before).unlink()
    added, heard = engineer.publish(2, changed(noise(MIB)))
    assert engineer.carried(added) == packed(changed(noise(MIB))).raw
    assert len(heard) == 1


def test_what_is_compressed_as_a_whole_is_carried_as_it_is(engineer: Engineer) -> None:
    content = gzip.compress(prose(4 * MIB), mtime=0)
    added, heard = engineer.publish(1, content)
    assert added.format is ArtifactFormat.RAW
    assert engineer.carried(added) == content
    assert added.target.endswith("gateway-os-1.1.img")
    warning, why = heard
    assert warning.startswith("warning: os-1.img is gzip; a small change in it changes most")
    assert "add the uncompressed file instead" in warning
    assert "carried as it is, because a pack would not pay: the pack has" in why
    assert f"of the image's {len(content)}" in why


def test_what_only_seems_to_be_compressed_as_a_whole_is_packed(engineer: Engineer) -> None:
    start = b"\x1f\x8b" + noise(2 * MIB)
    assert engineer.publish(1, start + bytes(MIB))[0].format is ArtifactFormat.PACK1
    assert engineer.publish(2, changed(start))[0].format is ArtifactFormat.PACK1


def test_raw_means_raw(engineer: Engineer) -> None:
    added = engineer.add(1, raw=True)
    assert added.format is ArtifactFormat.RAW
    assert added.target.endswith(".img")


def test_an_image_is_not_published_twice_whatever_its_pack_looks_like(engineer: Engineer) -> None:
    engineer.publish(1, noise(MIB))
    engineer.publish(2, changed(noise(MIB)))
    with pytest.raises(UsageError, match="same image is published already"):
        engineer.publish(3, noise(MIB))
    back, _ = engineer.publish(3, noise(MIB), kind=UpdateKind.ROLLBACK)
    assert back.release == 3


def test_a_way_back_is_the_very_pack_that_was_published(engineer: Engineer) -> None:
    engineer.publish(1, noise(MIB))
    first, _ = engineer.publish(2, changed(noise(MIB)))
    engineer.publish(3, changed(noise(MIB), seed=8))
    path = engineer.directory.with_name("os-2.img")
    again = engineer.add(2, image=path, raw=False, rollback_from=(3,))
    assert again.artifact == first.artifact


def test_an_update_is_told_before_it_is_made(engineer: Engineer) -> None:
    engineer.publish(1, noise(4 * MIB))
    new, _ = engineer.publish(2, changed(noise(4 * MIB)))
    told = compare(engineer.read(), "1", None, None)
    assert told["release"] == new.label
    assert told["against"] == "gateway-os 1.1 (release 1)"
    assert told["image"] == 4 * MIB
    assert told["carried"] == new.artifact.length == told["reused"] + told["fetched"]
    assert told["fetched"] % told["pieceLength"] == new.artifact.length % told["pieceLength"]
    assert told["header"] < told["fetched"] < MIB // 4
    parts = ("fetched", "layer", "messages", "metadata")
    assert told["wire"] == sum(told[part] for part in parts)
    assert told["share"] == round(told["wire"] / told["image"], 6)


def test_an_older_image_or_pack_can_be_a_file(engineer: Engineer, tmp_path: Path) -> None:
    engineer.publish(1, noise(4 * MIB))
    engineer.publish(2, changed(noise(4 * MIB)))
    image, pack = tmp_path / "old.img", tmp_path / "old.pack"
    image.write_bytes(noise(4 * MIB))
    pack.write_bytes(packed(noise(4 * MIB)).raw)
    by_number = compare(engineer.read(), "1", "gateway-os", 2)
    for path in (image, pack):
        by_file = compare(engineer.read(), str(path), None, None)
        assert by_file == by_number | {"against": str(path)}


def test_a_raw_release_comes_whole(engineer: Engineer) -> None:
    engineer.add(1)
    engineer.add(2)
    told = compare(engineer.read(), "1", None, None)
    assert (told["format"], told["fetched"], told["reused"]) == ("raw", 100_000, 0)


def test_what_is_not_there_to_be_compared_is_named(engineer: Engineer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which component"):
        compare(engineer.read(), "1", None, None)
    first, _ = engineer.publish(1, noise(MIB))
    engineer.add(1, component="panel")
    with pytest.raises(UsageError, match=r"--component is one of gateway-os, panel"):
        compare(engineer.read(), "1", None, None)
    with pytest.raises(UsageError, match="no release of door"):
        compare(engineer.read(), "1", "door", None)
    with pytest.raises(UsageError, match="no release 7 of gateway-os, only 1"):
        compare(engineer.read(), "7", "gateway-os", None)
    with pytest.raises(HostError, match="absent"):
        compare(engineer.read(), str(tmp_path / "absent"), "gateway-os", None)
    broken = tmp_path / "broken.pack"
    broken.write_bytes(engineer.carried(first)[:1000])
    with pytest.raises(PackError, match="damaged"):
        compare(engineer.read(), str(broken), "gateway-os", None)
    engineer.read().file_of(first).unlink()
    with pytest.raises(ContentError, match="missing or cut off"):
        compare(engineer.read(), "1", "gateway-os", None)
