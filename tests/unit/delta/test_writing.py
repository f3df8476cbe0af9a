"""Packs are the same each time, hold each chunk once, and keep what is new together."""

import io

import pytest

from p2pupd.delta.header import ZEROS
from p2pupd.delta.limits import MOST_RUN
from p2pupd.delta.writing import Chunks, pack
from p2pupd.errors import HostError, PackError
from tests.packing import Bytes, image_source, noise, packed, prose, transferred, unpacked
from tests.unit.delta.test_cutting import Shrinking

MIB = 1 << 20


def test_an_image_comes_back() -> None:
    image = prose(MIB) + bytes(MIB) + noise(MIB) + bytes(5)
    assert unpacked(packed(image).raw) == image


def test_the_same_image_makes_the_same_pack() -> None:
    image, before = prose(MIB) + noise(MIB), packed(prose(MIB))
    assert packed(image).raw == packed(image).raw
    assert packed(image, before).raw == packed(image, before).raw


def test_what_comes_twice_is_stored_once() -> None:
    once, twice = packed(noise(MIB)), packed(noise(MIB) * 2)
    assert len(twice.raw) < len(once.raw) + 20_000
    assert unpacked(twice.raw) == noise(MIB) * 2


def test_zeros_cost_nothing() -> None:
    made = packed(bytes(64 * MIB))
    assert len(made.raw) < 200
    assert unpacked(made.raw) == bytes(64 * MIB)


def test_what_is_new_lies_together_behind_what_the_earlier_pack_has() -> None:
    old = packed(noise(MIB))
    changed = bytearray(noise(MIB))
    for at in range(0, MIB, MIB // 8):
        changed[at : at + 3000] = noise(3000, seed=at + 2)
    new = packed(bytes(changed), old)
    known = {old.header.id_of(chunk) for chunk in range(old.header.chunks)}
    kept = [new.header.id_of(chunk) in known for chunk in range(new.header.chunks)]
    assert kept == sorted(kept, reverse=True)
    assert unpacked(new.raw) == changed
    alone = packed(bytes(changed))
    assert transferred(new, [old.source]) < 0.8 * transferred(alone, [old.source])


def test_who_skipped_a_release_fetches_little_too() -> None:
    images = [bytearray(noise(4 * MIB))]
    for number in range(2):
        images.append(bytearray(images[-1]))
        for at in range(number * 70_000, 4 * MIB, MIB // 4):
            images[-1][at : at + 3000] = noise(3000, seed=at + number + 2)
    first = packed(bytes(images[0]))
    second = packed(bytes(images[1]), first)
    third = packed(bytes(images[2]), second)
    assert unpacked(third.raw) == images[2]
    assert transferred(third, [first.source]) < 0.8 * transferred(
        packed(bytes(images[2])), [first.source]
    )


def test_more_zeros_than_one_run_can_count_make_several() -> None:
    chunks = Chunks()
    for length in (7, MOST_RUN - 7, 5, 5):
        chunks.add_zeros(length)
    assert [*chunks.zeros] == [MOST_RUN, 10]
    assert [*chunks.image] == [ZEROS, ZEROS]


def test_progress_tells_the_bytes_of_the_image() -> None:
    heard: list[int] = []
    pack(Bytes(noise(3 * MIB)), io.BytesIO(), io.BytesIO(), heard.append)
    assert heard == sorted(heard)
    assert len(heard) > 2
    assert heard[-1] == 3 * MIB


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(PackError, match="empty"):
        packed(b"")


def test_an_image_that_becomes_shorter_meanwhile_is_refused() -> None:
    with pytest.raises(HostError, match="became shorter"):
        pack(Shrinking(noise(MIB)), io.BytesIO(), io.BytesIO(), lambda _: None)


def test_an_image_can_be_packed_after_one_that_was_quite_different() -> None:
    new = packed(prose(MIB), packed(noise(MIB)))
    assert unpacked(new.raw) == prose(MIB)
    assert transferred(new, [image_source(prose(MIB))]) <= new.header.length + 16 * 1024
