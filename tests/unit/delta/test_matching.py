"""Chunks are found in older packs and images, and are believed only after a look at each."""

from dataclasses import dataclass, replace

import pytest

from p2pupd.delta.matching import NOWHERE, Held, ImageSource, PackSource, find
from p2pupd.errors import HostError
from tests.packing import Bytes, image_source, noise, packed, prose, quietly

MIB = 1 << 20
IMAGE = prose(MIB) + noise(MIB // 2) + bytes(MIB)
NEW = packed(IMAGE)


@dataclass
class Worn(Bytes):
    """A medium with a bad sector at `bad`."""

    bad: int = 0

    def read_at(self, offset: int, length: int) -> bytes:
        if offset <= self.bad < offset + length:
            raise HostError("cannot read the slot: I/O error")
        return super().read_at(offset, length)


def _taken(held: Held) -> list[bytes | None]:
    return [held.take(chunk) for chunk in range(held.header.chunks)]


def _stored() -> list[bytes]:
    header = NEW.header
    return [
        NEW.raw[header.offsets[chunk] : header.offsets[chunk + 1]] for chunk in range(header.chunks)
    ]


@pytest.mark.parametrize("source", [NEW.source, image_source(IMAGE)], ids=["pack", "image"])
def test_what_is_there_is_found_and_stored_alike(source: PackSource | ImageSource) -> None:
    assert _taken(find(NEW.header, [source], quietly)) == _stored()


def test_each_source_is_asked_only_for_what_those_before_it_lack() -> None:
    first, second = packed(prose(MIB)), image_source(IMAGE)
    held = find(NEW.header, [first.source, second], quietly)
    assert set(held.sources) == {0, 1}
    assert _taken(held) == _stored()


def test_what_is_nowhere_is_not_held() -> None:
    held = find(NEW.header, [image_source(noise(MIB, seed=7))], quietly)
    assert set(held.sources) == {NOWHERE}
    assert set(_taken(held)) == {None}
    assert set(_taken(find(NEW.header, [], quietly))) == {None}


def test_a_slot_that_changed_after_it_was_searched_gives_nothing_wrong() -> None:
    slot = Bytes(IMAGE)
    held = find(NEW.header, [ImageSource(slot)], quietly)
    slot.content = noise(300_000, seed=9) + IMAGE[300_000:]
    pairs = [*zip(_taken(held), _stored(), strict=True)]
    assert all(taken in (None, kept) for taken, kept in pairs)
    assert any(taken is None for taken, _ in pairs)
    assert any(taken is not None for taken, _ in pairs)
    slot.content = b""
    assert set(_taken(held)) == {None}


def test_a_damaged_pack_gives_nothing_wrong() -> None:
    damaged = bytearray(NEW.raw)
    for at in range(NEW.header.length, len(damaged), 50_000):
        damaged[at] ^= 255
    held = find(NEW.header, [PackSource(Bytes(bytes(damaged)), NEW.header)], quietly)
    pairs = [*zip(_taken(held), _stored(), strict=True)]
    assert all(taken in (None, kept) for taken, kept in pairs)
    assert any(taken is None for taken, _ in pairs)


def test_an_unreadable_place_only_costs_what_lies_there() -> None:
    slot = Worn(IMAGE, bad=-1)
    held = find(NEW.header, [ImageSource(slot)], quietly)
    slot.bad = 200_000
    taken = _taken(held)
    assert taken.count(None) == 1


def test_a_source_that_cannot_be_searched_does_not_keep_the_next_from_it() -> None:
    held = find(NEW.header, [ImageSource(Worn(IMAGE)), image_source(IMAGE)], quietly)
    assert set(held.sources) == {1}


def test_chunks_that_an_older_pack_stored_in_another_way_are_stored_anew() -> None:
    old = packed(IMAGE)
    header = old.header
    frames = [IMAGE[at : at + length] for at, length in _plain_places()]
    raw = old.raw[: header.length] + b"".join(frames)
    header.stored[:] = header.plain
    at = header.length
    for chunk, frame in enumerate(frames):
        header.offsets[chunk] = at
        at += len(frame)
    header.offsets[len(frames)] = at
    held = find(NEW.header, [PackSource(Bytes(raw), header)], quietly)
    assert _taken(held) == _stored()


def _plain_places() -> list[tuple[int, int]]:
    """(offset in the image, length) of each chunk: none of IMAGE's comes twice."""
    places, at = [], 0
    for run in NEW.header.runs():
        if run.first is None:
            at += run.amount
            continue
        for length in NEW.header.plain[run.first : run.first + run.amount]:
            places.append((at, length))
            at += length
    return places


def test_only_the_beginning_of_a_slot_is_searched_when_told() -> None:
    held = find(NEW.header, [ImageSource(Bytes(IMAGE), 100_000)], quietly)
    assert 0 < sum(held.has(chunk) for chunk in range(held.header.chunks)) < 40


def test_a_search_ends_when_nothing_is_wanted_any_more() -> None:
    heard: list[int] = []
    small = packed(prose(10_000))
    image = prose(10_000) + noise(32 * MIB)
    edge = find(small.header, [ImageSource(Bytes(image))], heard.append)
    assert edge.has(0)
    assert max(heard) <= 33 * MIB


def test_a_search_can_be_stopped() -> None:
    def stop(done: int) -> None:
        raise InterruptedError(done)

    with pytest.raises(InterruptedError):
        find(NEW.header, [image_source(noise(16 * MIB))], stop)


def test_a_chunk_that_only_has_the_name_of_a_wanted_one_is_not_taken() -> None:
    old = packed(noise(MIB))
    lying = replace(NEW.header, ids=old.header.ids[:8] * NEW.header.chunks)
    held = find(lying, [old.source], quietly)
    assert set(_taken(held)) <= {None, *_stored()}
