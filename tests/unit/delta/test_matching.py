"""Chunks are found in older packs and images, and are believed only after a look at each."""

from array import array
from dataclasses import dataclass, replace
from itertools import accumulate

import pytest
import zstandard

from p2pupd.delta.frames import Frames
from p2pupd.delta.limits import ID
from p2pupd.delta.matching import NOWHERE, Held, ImageSource, PackSource, Source, find
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
    return [held.take(frame) for frame in range(held.header.frames)]


def _stored() -> list[bytes]:
    header = NEW.header
    return [
        NEW.raw[header.offsets[frame] : header.offsets[frame + 1]] for frame in range(header.frames)
    ]


@pytest.mark.parametrize("source", [NEW.source, image_source(IMAGE)], ids=["pack", "image"])
def test_what_is_there_is_found_and_stored_alike(source: PackSource | ImageSource) -> None:
    assert _taken(find(NEW.header, [source], quietly)) == _stored()


def test_each_source_is_asked_only_for_what_those_before_it_lack() -> None:
    first, second = packed(prose(MIB)), image_source(IMAGE)
    held = find(NEW.header, [first.source, second], quietly)
    assert set(held.sources) == {0, 1}
    assert _taken(held) == _stored()


def test_what_the_first_sources_alone_have_is_told_without_another_search() -> None:
    origins: list[Source] = [packed(prose(MIB)).source, image_source(IMAGE)]
    held = find(NEW.header, origins, quietly)
    for first in range(3):
        alone = find(NEW.header, origins[:first], quietly)
        assert held.of(first).sources == alone.sources
        assert _taken(held.of(first)) == _taken(alone)


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


def test_damage_to_an_older_pack_spoils_only_the_frames_where_it_is() -> None:
    damaged = bytearray(NEW.raw)
    for at in range(NEW.header.length, len(damaged), 50_000):
        damaged[at] ^= 255
    held = find(NEW.header, [PackSource(Bytes(bytes(damaged)), NEW.header)], quietly)
    damages = len(range(NEW.header.length, len(damaged), 50_000))
    pairs = [*zip(_taken(held), _stored(), strict=True)]
    assert 0 < sum(taken != kept for taken, kept in pairs) <= damages


def test_a_pack_that_is_cut_off_gives_what_is_left_of_it() -> None:
    half = Bytes(NEW.raw[: len(NEW.raw) // 2])
    held = find(NEW.header, [PackSource(half, NEW.header)], quietly)
    pairs = [*zip(_taken(held), _stored(), strict=True)]
    assert {taken == kept for taken, kept in pairs} == {True, False}
    assert all(taken in (None, kept) for taken, kept in pairs)


def test_an_unreadable_place_only_costs_what_lies_there() -> None:
    slot = Worn(IMAGE, bad=-1)
    held = find(NEW.header, [ImageSource(slot)], quietly)
    slot.bad = 200_000
    taken = _taken(held)
    assert taken.count(None) == 1


def test_a_source_that_cannot_be_searched_does_not_keep_the_next_from_it() -> None:
    held = find(NEW.header, [ImageSource(Worn(IMAGE)), image_source(IMAGE)], quietly)
    assert set(held.sources) == {1}


def test_frames_that_an_older_pack_has_of_other_chunks_are_made_anew() -> None:
    shifted = noise(50_000, seed=3) + IMAGE
    old, other = packed(shifted), packed(prose(MIB)[200_000:])
    for sources in ([old.source], [other.source, old.source]):
        held = find(NEW.header, sources, quietly)
        pairs = [*zip(_taken(held), _stored(), strict=True)]
        assert all(taken in (None, kept) for taken, kept in pairs)
        assert sum(taken is None for taken, _ in pairs) <= 2


def test_a_frame_that_an_older_pack_compressed_in_another_way_is_not_taken_for_the_same() -> None:
    header = NEW.header
    frames = [zstandard.compress(plain, level=1) for plain in _plains()]
    lengths = array("I", map(len, frames))
    offsets = array("Q", accumulate(lengths, initial=0))
    told = replace(header, stored=lengths, offsets=offsets)
    held = find(header, [PackSource(Bytes(b"".join(frames)), told)], quietly)
    assert _taken(held) == _stored()


def _plains() -> list[bytes]:
    header = NEW.header
    pairs = enumerate(_stored())
    return [Frames().restored(frame, header.plain_length(number)) for number, frame in pairs]


def test_only_the_beginning_of_a_slot_is_searched_when_told() -> None:
    held = find(NEW.header, [ImageSource(Bytes(IMAGE), 100_000)], quietly)
    assert 0 < sum(each != NOWHERE for each in held.sources) < 40


def test_a_search_ends_when_nothing_is_wanted_any_more() -> None:
    heard: list[int] = []
    begin = prose(10_000) + bytes(MIB)
    image = Bytes(begin + noise(32 * MIB))
    held = find(packed(begin).header, [ImageSource(image)], heard.append)
    assert held.has(0)
    assert max(heard) <= 8 * MIB


def test_a_search_can_be_stopped() -> None:
    def stop(done: int) -> None:
        raise InterruptedError(done)

    with pytest.raises(InterruptedError):
        find(NEW.header, [image_source(noise(16 * MIB))], stop)


def test_a_chunk_that_only_has_the_name_of_a_wanted_one_is_not_taken() -> None:
    old = packed(noise(MIB))
    lying = replace(NEW.header, ids=old.header.ids[:ID] * NEW.header.chunks)
    held = find(lying, [old.source], quietly)
    assert set(_taken(held)) <= {None, *_stored()}
