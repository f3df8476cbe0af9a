"""Any old image, any new one: what is put together is the new one, whatever was reused of the old;
and a pack that is not as it was written never makes anything but its image."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pupd.delta.header import ZEROS, Table, encode, parse
from p2pupd.delta.limits import ID, Cutting
from p2pupd.errors import PackError
from p2pupd.model.ids import Sha256
from tests.packing import Slot, image_source, noise, packed, prose, reused, unpacked

PARTS = st.one_of(
    st.builds(noise, st.integers(1, 40_000), st.integers(1, 5)),
    st.builds(prose, st.integers(1, 60_000), st.integers(1, 5)),
    st.builds(bytes, st.integers(1, 100_000)),
    st.binary(min_size=1, max_size=50),
)
EROFS = bytes(1024) + b"\xe2\xe1\xf5\xe0"
IMAGES = st.builds(
    lambda begin, parts: begin + b"".join(parts),
    st.sampled_from([b"", EROFS]),
    st.lists(PARTS, min_size=1, max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(IMAGES, IMAGES, st.booleans(), st.sampled_from([16 * 1024, 32 * 1024]))
def test_the_image_is_the_new_one_whatever_was_reused(
    old: bytes, new: bytes, after: bool, length: int
) -> None:
    before = packed(old)
    made = packed(new, before if after else None)
    pieces = made.pieces(length)
    for source in (before.source, image_source(old)):
        found = reused(made, source, length=length)
        whole = b"".join(found.get(number, piece) for number, piece in enumerate(pieces))
        assert unpacked(whole) == new


@settings(max_examples=60, deadline=None)
@given(IMAGES, st.binary(min_size=1, max_size=9), st.integers(0))
def test_a_damaged_pack_is_refused_or_makes_its_image(
    image: bytes, damage: bytes, place: int
) -> None:
    raw = packed(image).raw
    at = place % len(raw)
    slot = Slot()
    try:
        assert unpacked(raw[:at] + damage + raw[at + len(damage) :], slot) == image
    except PackError:
        assert len(slot.content) <= len(image)


@settings(max_examples=40, deadline=None)
@given(IMAGES, st.integers(0), st.binary(max_size=30_000))
def test_an_old_image_that_changes_under_the_reader_makes_nothing_wrong(
    image: bytes, place: int, other: bytes
) -> None:
    made, at = packed(image), place % len(image)
    damaged = image[:at] + other + image[at + len(other) :]
    pieces = made.pieces()
    for number, content in reused(made, image_source(damaged)).items():
        assert pieces[number] == content


@st.composite
def tables(draw: st.DrawFn) -> Table:
    plain = draw(st.lists(st.integers(1, 16384), min_size=1, max_size=30))
    counts = draw(st.lists(st.integers(1, 4), min_size=len(plain), max_size=len(plain)))
    rest, lengths = list(plain), list[int]()
    while rest:
        counts[len(lengths)] = min(counts[len(lengths)], len(rest))
        lengths.append(sum(rest[: counts[len(lengths)]]))
        del rest[: counts[len(lengths) - 1]]
    stored = [draw(st.integers(1, length)) for length in lengths]
    order = draw(st.permutations(range(len(plain))))
    firsts, amounts, length = [], [], sum(plain)
    for chunk in order:
        firsts.append(chunk)
        amounts.append(1)
        if zeros := draw(st.sampled_from([0, 0, 1, 4096, (1 << 32) - 1])):
            firsts.append(ZEROS)
            amounts.append(zeros)
            length += zeros
    return Table(
        image_length=max(length, 1),
        image_sha256=Sha256(draw(st.binary(min_size=32, max_size=32)).hex()),
        cutting=draw(st.sampled_from(Cutting)),
        average=4096,
        ids=draw(st.binary(min_size=ID * len(plain), max_size=ID * len(plain))),
        plain=array("I", plain),
        counts=array("I", counts[: len(lengths)]),
        stored=array("I", stored),
        firsts=array("I", firsts),
        amounts=array("I", amounts),
    )


@settings(deadline=None)
@given(tables())
def test_a_table_comes_back_as_it_was(table: Table) -> None:
    raw = encode(table)
    least = table.image_length * 4 // table.average + 1
    try:
        header = parse(raw, len(raw) + sum(table.stored))
    except PackError:
        assert sum(amount for first, amount in _runs(table) if first != ZEROS) > least
        return
    for name in (
        "image_length",
        "image_sha256",
        "cutting",
        "average",
        "ids",
        "plain",
        "counts",
        "stored",
    ):
        assert getattr(header, name) == getattr(table, name)
    assert (header.firsts, header.amounts) == (table.firsts, table.amounts)


def _runs(table: Table) -> list[tuple[int, int]]:
    return [*zip(table.firsts, table.amounts, strict=True)]
