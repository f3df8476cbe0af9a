"""Views merge to the same view, whoever tells whom, in whatever order, however often."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.core.digest_tree import DigestTree, compare
from p2pupd.core.gossip import merge, newer
from p2pupd.model.fleet import Seen, View
from tests.saying import NOW, seen


@st.composite
def sayings(draw: st.DrawFn) -> Seen:
    """One of few sayings, so that the same ones, and contradicting ones, come often."""
    return seen(
        draw(st.integers(1, 3)),
        heard=NOW + draw(st.integers(0, 2)),
        first=NOW + draw(st.integers(0, 2)),
        epoch=draw(st.integers(0, 1)),
        sequence=draw(st.integers(1, 2)),
        model=draw(st.sampled_from(["", "says otherwise"])),
        direct=draw(st.booleans()),
        alive=float(draw(st.integers(0, 1))),
        lost=float(draw(st.integers(0, 1))),
    )


def view(found: list[Seen]) -> View:
    return reduce(merge, (View({each.record.device: each}) for each in found), View())


views = st.lists(sayings(), max_size=4).map(view)


@given(views, views)
def test_merging_is_commutative(one: View, other: View) -> None:
    assert merge(one, other).entries == merge(other, one).entries


@given(views, views, views)
def test_merging_is_associative(one: View, two: View, three: View) -> None:
    assert merge(merge(one, two), three).entries == merge(one, merge(two, three)).entries


@given(views, views)
def test_merging_again_changes_nothing(one: View, other: View) -> None:
    both = merge(one, other)
    assert merge(both, other).entries == merge(both, both).entries == both.entries


@given(sayings(), sayings())
def test_a_later_saying_is_never_replaced_by_an_earlier_one(one: Seen, other: Seen) -> None:
    if one.record.device == other.record.device:
        assert newer(one, other).stamp == max(one.stamp, other.stamp)


names = st.binary(min_size=8, max_size=8)
values = st.binary(min_size=1, max_size=4)
contents = st.dictionaries(names, values, max_size=40)


def tree(content: dict[bytes, bytes]) -> DigestTree:
    made = DigestTree()
    for name, value in content.items():
        made.put(name, value)
    return made


@given(contents, st.randoms())
def test_equal_contents_have_equal_digests_in_whatever_order_they_came(
    content: dict[bytes, bytes], chance: object
) -> None:
    other = tree(dict(reversed(content.items())))
    extra = b"\0" * 8
    if extra not in content:
        other.put(extra, b"x")
        assert other.digest() != tree(content).digest()
        other.drop(extra)
    assert other.digest() == tree(content).digest()
    assert other.items() == tree(content).items() == dict(sorted(content.items()))


@given(contents, contents)
def test_unequal_contents_have_unequal_digests(
    one: dict[bytes, bytes], other: dict[bytes, bytes]
) -> None:
    assert (tree(one).digest() == tree(other).digest()) is (one == other)


@given(contents, contents)
def test_giving_each_other_what_they_lack_makes_both_the_same(
    one: dict[bytes, bytes], other: dict[bytes, bytes]
) -> None:
    difference = compare(one, other)
    for name in difference.they_lack:
        other[name] = one[name]
    for name in difference.we_lack:
        one[name] = other[name]
    assert one == other
