"""Pieces are built from held chunks where these make all of one."""

import pytest

from p2pupd.delta.assembling import Assembly
from p2pupd.delta.matching import ImageSource, find
from tests.packing import (
    PIECE,
    Bytes,
    image_source,
    noise,
    packed,
    prose,
    quietly,
    reused,
    transferred,
)

MIB = 1 << 20
OLD = prose(MIB) + noise(MIB)
CHANGED = OLD[:500_000] + noise(5000, seed=5) + OLD[510_000:]


@pytest.mark.parametrize("length", [PIECE, 4 * PIECE, 256 * PIECE])
def test_all_pieces_behind_the_header_are_built_from_the_same_image(length: int) -> None:
    new = packed(OLD)
    pieces = new.pieces(length)
    first = -(-new.header.length // length)
    made = reused(new, image_source(OLD), length=length)
    assert made == dict([*enumerate(pieces)][first:])


@pytest.mark.parametrize("length", [PIECE, 4 * PIECE])
def test_a_change_costs_the_pieces_that_hold_it(length: int) -> None:
    new = packed(CHANGED)
    for source in (packed(OLD).source, image_source(OLD)):
        left = transferred(new, [source], length)
        assert left <= new.header.length + 4 * length + 30_000


def test_pieces_made_of_two_sources_are_built() -> None:
    new = packed(OLD)
    sources = [image_source(OLD[:700_000]), image_source(OLD[690_000:])]
    held = find(new.header, sources, quietly)
    assembly = Assembly(held, PIECE)
    assert len([*assembly.pieces(quietly)]) == assembly.count
    assert transferred(new, sources) <= new.header.length + PIECE + 40_000
    assert min(assembly.reused[0], assembly.reused[1]) > 100_000
    assert assembly.unlike == 0


def test_only_pieces_that_are_lacking_are_built() -> None:
    new = packed(OLD)
    held = find(new.header, [image_source(OLD)], quietly)
    every = [number for number, _ in Assembly(held, PIECE).pieces(quietly)]
    wanted = {*every[::3], every[-1]}
    assembly = Assembly(held, PIECE, lambda piece: piece in wanted)
    made = dict(assembly.pieces(quietly))
    assert made.keys() == wanted
    assert assembly.count == len(wanted)
    assert all(new.pieces()[number] == content for number, content in made.items())


def test_a_chunk_that_is_gone_costs_only_its_pieces() -> None:
    new, slot = packed(OLD), Bytes(OLD)
    held = find(new.header, [ImageSource(slot)], quietly)
    slot.content = OLD[:500_000] + noise(5000, seed=6) + OLD[505_000:]
    assembly = Assembly(held, PIECE)
    made = dict(assembly.pieces(quietly))
    assert assembly.unlike >= 1
    assert assembly.count - 4 <= len(made) < assembly.count
    assert all(new.pieces()[number] == content for number, content in made.items())


def test_building_tells_how_far_it_is_and_can_be_stopped() -> None:
    new, heard = packed(OLD), list[int]()
    assembly = Assembly(find(new.header, [image_source(OLD)], quietly), PIECE)
    total = sum(len(content) for _, content in assembly.pieces(heard.append))
    assert heard[-1] == total == assembly.length

    def stop(done: int) -> None:
        raise InterruptedError(done)

    with pytest.raises(InterruptedError):
        list(assembly.pieces(stop))


def test_a_pack_in_one_piece_is_never_built() -> None:
    assert reused(packed(prose(9000)), image_source(prose(9000))) == {}
