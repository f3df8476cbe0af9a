import pytest

from p2pupd.errors import ProtocolError
from p2pupd.wire import codec
from p2pupd.wire.records import MOST
from p2pupd.wire.results import MAX_BYTES, PAGE, Results, decode, encode, fitting
from p2pupd.wire.sync import OLDEST, Item


@pytest.mark.parametrize("count", [0, 1, PAGE * 3 + 1])
def test_results_come_home_as_they_were_written(count: int) -> None:
    results = Results(7, tuple(Item(b"%d" % number, number) for number in range(count)))
    assert decode(encode(results)) == results


def test_lines_of_history_come_home_too_and_may_be_missing() -> None:
    results = Results(7, (Item(b"1", 1),), tuple(b"%d" % number for number in range(PAGE + 1)))
    assert decode(encode(results)) == results
    assert decode(codec.pack({"v": 1, "at": 7, "i": [[[b"1", 1]]]})).logs == ()


def test_an_item_may_be_older_than_neighbours_tell() -> None:
    results = Results(7, (Item(b"1", OLDEST + 1), Item(b"2", MOST)))
    assert decode(encode(results)) == results


def test_as_many_are_written_as_fit_from_the_first() -> None:
    few = (Item(b"1", 1), Item(b"2", 2))
    assert fitting(few, ()) == few
    half = Item(b"\0" * (MAX_BYTES // 2), 0)
    assert fitting((few[0], half, half, few[1]), ()) == (few[0], half)
    assert fitting(few, (half.raw, half.raw)) == ()


def test_more_than_fits_is_not_written() -> None:
    with pytest.raises(ProtocolError):
        encode(Results(7, (Item(b"\0" * MAX_BYTES, 0),)))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"v": 2},
        {"v": 1, "at": -1, "i": []},
        {"v": 1, "at": True, "i": []},
        {"v": 1, "at": 1, "i": None},
        {"v": 1, "at": 1, "i": [1]},
        {"v": 1, "at": 1, "i": [[1]]},
        {"v": 1, "at": 1, "i": [[[b"raw", True]]]},
        {"v": 1, "at": 1, "i": [[[b"raw", MOST + 1]]]},
        {"v": 1, "at": 1, "i": [[["raw", 1]]]},
        {"v": 1, "at": 1, "i": [], "l": None},
        {"v": 1, "at": 1, "i": [], "l": [["text"]]},
    ],
)
def test_what_is_malformed_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        decode(codec.pack(value))
