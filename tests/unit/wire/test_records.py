from typing import Any

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.model.deployment import Phase
from p2pupd.model.device import ByteCounts
from p2pupd.model.fleet import ComponentState, DeploymentState, Halt, Link, StatusRecord, Update
from p2pupd.model.ids import ComponentId
from p2pupd.wire import codec
from p2pupd.wire import records as wire
from p2pupd.wire.records import clipped, decode, encode
from tests.saying import NOW, OS, a_full_status, a_status, device

ME = device(1).id
LONG = ComponentId("c" * 64)


def _changed(**fields: Any) -> bytes:
    return codec.pack(codec.unpack(encode(a_full_status()), wire.MAX_BYTES) | fields)


@pytest.mark.parametrize("record", [a_status(), a_full_status()])
def test_a_record_comes_back_as_it_was(record: StatusRecord) -> None:
    assert decode(encode(record), ME) == record


def test_a_record_within_every_limit_fits() -> None:
    update = Update(LONG, "v" * 32, wire.MOST, Phase.SUPERSEDED, wire.MOST, "r" * 32, "d" * 96)
    fullest = a_full_status(
        site="s" * 64,
        model="m" * 64,
        version="v" * 32,
        epoch=wire.LAST_EPOCH,
        sequence=wire.MOST,
        news=wire.MOST,
        at=wire.MOST,
        beat=wire.LONGEST_BEAT,
        hardware_ids=("h" * 64,) * wire.MAX_HARDWARE,
        groups=("g" * 64,) * wire.MAX_GROUPS,
        links=(Link("i" * 16, "fe80:1111:2222:3333:4444:5555:6666:7777"),) * wire.MAX_LINKS,
        components=(ComponentState(LONG, "v" * 32, wire.MOST),) * wire.MAX_COMPONENTS,
        deployment=DeploymentState(
            LONG, "v" * 32, wire.MOST, Phase.SUPERSEDED, NOW, wire.MOST, wire.MOST, "r" * 32, NOW
        ),
        history=(update,) * wire.MAX_HISTORY,
        holds=("ff" * 8,) * wire.MAX_HOLDS,
        halts=(Halt(LONG, wire.MOST, wire.MOST),) * wire.MAX_HALTS,
        counts=ByteCounts(*(wire.MOST,) * 4, sent=wire.MOST, wasted=wire.MOST),
        store_free=wire.MOST,
    )
    assert decode(encode(fullest), ME) == fullest


def test_what_a_later_version_adds_is_ignored() -> None:
    assert decode(_changed(later=[1, 2]), ME) == a_full_status()


@pytest.mark.parametrize(
    "fields",
    [
        {"v": 2},
        {"realm": b"short"},
        {"realm": "0123456789abcdef"},
        {"site": "s" * 65},
        {"site": "line\nbreak"},
        {"model": 7},
        {"model": "\x1b[2J"},
        {"e": wire.LAST_EPOCH + 1},
        {"n": -1},
        {"n": True},
        {"at": wire.MOST + 1},
        {"beat": wire.LONGEST_BEAT + 1},
        {"ln": [["eth0", "fe80::1%\x1b[2J"]]},
        {"ln": [["eth0", "fe80::1%" + "e" * 64]]},
        {"role": "king"},
        {"role": []},
        {"port": 65536},
        {"hw": ["h"] * (wire.MAX_HARDWARE + 1)},
        {"grp": "canary"},
        {"ln": [["eth0", "not an address"]]},
        {"ln": [["eth0", 7]]},
        {"ln": [["eth0", "010.0.0.7"]]},
        {"ln": [["eth0", "FE80::1"]]},
        {"ln": [["eth0"]]},
        {"co": [["NO GOOD NAME", "1", 1]]},
        {"co": [[None, "1", 1]]},
        {"dep": [OS, "1.7", 7]},
        {"dep": [OS, "1.7", 7, "dancing", 1, 0, 0, "", 0]},
        {"hist": [[OS, "1.7", 7, "reverted", 1, "r" * 33, "", 0]]},
        {"has": b"123"},
        {"has": b"8" * 8 * (wire.MAX_HOLDS + 1)},
        {"halt": [[OS, 1]]},
        {"bytes": [1, 2]},
        {"free": None},
    ],
)
def test_what_is_over_a_limit_or_malformed_is_refused_whole(fields: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode(_changed(**fields), ME)


@pytest.mark.parametrize("payload", [b"", b"\xc1", codec.pack([1]), b"\0" * (wire.MAX_BYTES + 1)])
def test_what_is_no_record_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(payload, ME)


def test_text_is_clipped_to_whole_characters_that_a_screen_shows() -> None:
    assert clipped("no\nline\x1b[2J", 64) == "no?line?[2J"
    assert clipped("äöü", 5) == "äö"
    assert clipped("\udcff", 5) == "?"
