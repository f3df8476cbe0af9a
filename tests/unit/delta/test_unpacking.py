"""The slot gets the image, in order and aligned, or the reason why not."""

import random

import pytest

from p2pupd.delta.interface import Zeros
from p2pupd.delta.unpacking import BLOCK, GRAIN, header_of, plain_image
from p2pupd.errors import PackError
from tests.packing import Bytes, Pack, Slot, noise, packed, prose, unpacked

MIB = 1 << 20
IMAGE = prose(MIB + 123) + bytes(3 * MIB) + noise(MIB) + bytes(200_000) + prose(300_000) + b"end"


def test_parts_are_aligned_and_zeros_are_told() -> None:
    made, at = packed(IMAGE), 0
    for part in plain_image(Bytes(made.raw), made.header):
        assert at % GRAIN == 0
        if isinstance(part, Zeros):
            length = part.length
            assert IMAGE[at : at + length] == bytes(length)
        else:
            length = len(part)
            assert length <= BLOCK
            assert IMAGE[at : at + length] == part
        at += length
    assert at == len(IMAGE)


def test_long_zeros_are_skipped() -> None:
    slot = Slot()
    assert unpacked(packed(IMAGE).raw, slot) == IMAGE
    assert 3 * MIB - 2 * GRAIN - 20_000 <= slot.skipped <= 3 * MIB + 200_000


def test_an_image_may_end_in_zeros() -> None:
    image = noise(100) + bytes(5 * MIB + 17)
    assert unpacked(packed(image).raw) == image


def test_progress_ends_at_the_length_of_the_image() -> None:
    heard: list[int] = []
    unpacked(packed(IMAGE).raw, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == len(IMAGE)


def test_unpacking_can_be_stopped() -> None:
    def stop(done: int) -> None:
        raise InterruptedError(done)

    with pytest.raises(InterruptedError):
        unpacked(packed(IMAGE).raw, progress=stop)


@pytest.mark.parametrize("length", [0, 10, 16, 1000, -100_000, -1])
def test_a_pack_that_is_cut_short_is_refused(length: int) -> None:
    with pytest.raises(PackError):
        unpacked(packed(IMAGE).raw[:length])


def test_a_pack_that_became_shorter_meanwhile_is_refused() -> None:
    made = packed(IMAGE)
    with pytest.raises(PackError, match="the pack ends at"):
        list(plain_image(Bytes(made.raw[:-10]), made.header))


def test_a_pack_with_bytes_behind_it_is_refused() -> None:
    with pytest.raises(PackError, match="but the pack has"):
        unpacked(packed(IMAGE).raw + b"more")


def test_runs_in_another_order_are_refused_at_the_end() -> None:
    made = packed(noise(MIB) + bytes(MIB) + noise(MIB, seed=2))
    firsts, amounts = made.header.firsts, made.header.amounts
    firsts[0], firsts[-1] = firsts[-1], firsts[0]
    amounts[0], amounts[-1] = amounts[-1], amounts[0]
    with pytest.raises(PackError, match="another image"):
        list(plain_image(Bytes(made.raw), made.header))


def test_damage_anywhere_is_refused_and_nothing_beyond_the_image_is_written() -> None:
    image = prose(200_000) + bytes(100_000) + noise(100_000)
    made, dice = packed(image), random.Random(3)
    for _ in range(300):
        raw = bytearray(made.raw)
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        _refused_or_right(Pack(bytes(raw), made.header), image)


def _refused_or_right(damaged: Pack, image: bytes) -> None:
    slot = Slot()
    try:
        assert unpacked(damaged.raw, slot) == image
    except PackError:
        assert len(slot.content) <= len(image)
        assert image.startswith(bytes(slot.content))


def test_of_a_damaged_chunk_that_is_not_looked_at_the_length_is_right() -> None:
    image = noise(200_000)
    pack = packed(image)
    raw = bytearray(pack.raw)
    raw[-1] ^= 1
    parts = plain_image(Bytes(bytes(raw)), pack.header, proved=False)
    found = b"".join(bytes(part.length) if isinstance(part, Zeros) else part for part in parts)
    assert found == image[:-1] + raw[-1:]


def test_the_header_is_read_from_a_pack() -> None:
    made = packed(IMAGE)
    assert header_of(Bytes(made.raw)) == made.header


def test_the_header_is_read_while_the_rest_is_still_missing() -> None:
    made = packed(IMAGE)
    begun = Bytes(made.raw[: made.header.length])
    assert header_of(begun, len(made.raw)) == made.header
