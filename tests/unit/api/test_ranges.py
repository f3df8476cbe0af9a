import pytest

from p2pupd.api.ranges import NotSatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=10-", (10, 90)),
        ("bytes=-10", (90, 10)),
        ("bytes=-1000", (0, 100)),
        ("bytes=90-1000", (90, 10)),
        ("bytes= 5-5 ", (5, 1)),
        ("lines=1-2", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=9-5", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=" + "9" * 19 + "-", None),
    ],
)
def test_a_range_is_read_as_rfc_9110_says(header: str | None, part: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=0-1,5-6"])
def test_a_range_without_a_byte_and_several_ranges_are_not_satisfiable(header: str) -> None:
    with pytest.raises(NotSatisfiable):
        parse_range(header, 100)


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(NotSatisfiable):
        parse_range("bytes=0-0", 0)
