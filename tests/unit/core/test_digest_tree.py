from p2pupd.core.digest_tree import DIGITS, DigestTree, Index, compare, name_of


def _filled(count: int) -> DigestTree:
    tree = DigestTree()
    for number in range(count):
        tree.put(name_of(str(number)), b"v")
    return tree


def test_two_trees_find_where_they_differ_without_listing_all() -> None:
    mine, theirs = _filled(2000), _filled(2000)
    changed = name_of("1234")
    theirs.put(changed, b"w")
    part = ""
    while len(theirs.items(part)) > 10:
        pairs = zip(DIGITS, mine.children(part), theirs.children(part), strict=True)
        part += next(digit for digit, one, other in pairs if one != other)
    assert changed.hex().startswith(part)
    assert compare(mine.items(part), theirs.items(part)).we_lack == (changed,)


def test_an_item_counts_once_however_often_it_is_put() -> None:
    tree = _filled(3)
    tree.put(name_of("1"), b"later")
    assert len(tree) == 3
    assert tree.get(name_of("1")) == b"later"
    tree.drop(name_of("1"))
    tree.drop(name_of("1"))
    assert len(tree) == 2
    assert tree.get(name_of("1")) is None


def test_what_is_dropped_leaves_its_neighbours_alone() -> None:
    tree, without = _filled(2000), _filled(1999)
    tree.drop(name_of("1999"))
    assert tree.items() == without.items()
    assert tree.digest() == without.digest()


def test_a_part_deeper_than_what_is_kept_has_a_digest_too() -> None:
    tree = _filled(500)
    name = name_of("7")
    before = tree.digest(name.hex()[:5])
    tree.put(name, b"w")
    assert tree.digest(name.hex()[:5]) != before
    assert tree.items(name.hex()) == {name: b"w"}


def test_an_index_knows_all_sayings_and_the_news_among_them() -> None:
    index = Index()
    index.put(b"x" * 8, b"stamp 1", b"news 1")
    before = index.news.digest(), index.stamps.digest()
    index.put(b"x" * 8, b"stamp 2", b"news 1")
    assert index.news.digest() == before[0]
    assert index.stamps.digest() != before[1]
    index.drop(b"x" * 8)
    assert len(index.news) == len(index.stamps) == 0
