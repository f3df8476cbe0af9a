"""The picture of transfers that `p2pupd status` prints."""

import io
from typing import Any

from rich.console import Console

from p2pupd.cli.device import _kept, _transfers

NOTHING = {"lan": 0, "uplink": 0, "usb": 0, "reuse": 0, "sent": 0, "wasted": 0}
MIB = 1 << 20


def transfer(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "component": "gateway-os",
        "version": "1.2",
        "state": "complete",
        "source": "lan",
        "done": 64 * MIB,
        "length": 64 * MIB,
        "peers": 3,
        "rate": MIB,
        "reason": "",
        "detail": "",
        "bytes": NOTHING,
    }
    return made | changes


def printed(*transfers: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(_transfers(list(transfers)))
    return out.getvalue().splitlines()


def test_a_complete_transfer_tells_where_its_bytes_came_from() -> None:
    moved = NOTHING | {"lan": 12 * MIB, "usb": 52 * MIB, "sent": 3 * MIB}
    assert printed(transfer(bytes=moved)) == [
        "transfers",
        "gateway-os 1.2  complete  100 %",
        "  from lan 12.0 MiB, usb 52.0 MiB; sent 3.0 MiB",
    ]


def reusing(stage: str, done: int, **bytes_of: tuple[int, int]) -> dict[str, Any]:
    """(expected, real) by where they come from."""
    return {
        "stage": stage,
        "done": done,
        "length": 0,
        "expected": {each: pair[0] for each, pair in bytes_of.items()},
        "real": {each: pair[1] for each, pair in bytes_of.items()},
    }


def test_a_transfer_tells_what_was_expected_to_be_here_already_and_what_was() -> None:
    shares = {"store": (8 * MIB, 4 * MIB), "slot": (0, 0), "swarm": (MIB, 0)}
    came = "store 4.0 MiB (expected 8.0 MiB), swarm 0 B (expected 1.0 MiB)"
    told = {
        "asking": "  asks what is in the pack",
        "searching": "  looks for it in what is here, 2.0 MiB so far",
        "building": f"  makes: {came}",
        "over": f"  of the pack: {came}",
    }
    for stage, line in told.items():
        known = shares if stage in ("building", "over") else {}
        made = reusing(stage, 2 * MIB, **known)
        assert printed(transfer(reuse=made))[2:] == [line]


def test_a_running_transfer_tells_its_pace_too() -> None:
    moved = NOTHING | {"uplink": 16 * MIB}
    assert printed(transfer(state="fetching", done=16 * MIB, bytes=moved))[1:] == [
        "gateway-os 1.2  fetching  25 %  3 peer(s)  1.0 MiB/s",
        "  from uplink 16.0 MiB",
    ]


def test_a_transfer_by_the_uplink_alone_tells_no_neighbours() -> None:
    alone = transfer(state="fetching", source="uplink:http://far/", done=16 * MIB, peers=0)
    assert printed(alone)[1:] == [
        "gateway-os 1.2  fetching  25 %  1.0 MiB/s",
        "  reads uplink:http://far/",
    ]
    lonely = transfer(state="fetching", done=0, peers=0, rate=0)
    assert printed(lonely)[1:] == ["gateway-os 1.2  fetching  0 %  0 peer(s)  0 B/s"]


def test_what_is_read_from_a_stick_and_what_is_wrong_with_it_is_told() -> None:
    trouble = {"reason": "wrong-bytes", "detail": "not what was signed"}
    shown = printed(transfer(state="importing", source="usb:/media/stick", done=0, **trouble))
    assert shown[1:] == [
        "gateway-os 1.2  importing  0 %  3 peer(s)  1.0 MiB/s",
        "  reads usb:/media/stick",
        "  wrong-bytes: not what was signed",
    ]


def test_all_of_it_fits_into_eighty_columns() -> None:
    most = dict.fromkeys(NOTHING, 1023 * MIB)
    lines = printed(transfer(state="fetching", bytes=most))
    assert lines[2:] == [
        "  from lan 1023.0 MiB, uplink 1023.0 MiB, usb 1023.0 MiB, reuse 1023.0 MiB; sent",
        "1023.0 MiB; wasted 1023.0 MiB",
    ]


def test_what_was_complete_before_the_start_is_told_too() -> None:
    release = {"component": "gateway-os", "version": "1.1"}
    kept = {"verified": True, "length": MIB, "bytes": NOTHING | {"usb": MIB}, "release": release}
    status = {
        "transfers": [transfer(sha256="a" * 64)],
        "stored": [
            kept | {"sha256": "a" * 64},
            kept | {"sha256": "b" * 64},
            kept | {"sha256": "c" * 64, "release": None},
            kept | {"sha256": "d" * 64, "verified": False},
        ],
    }
    assert printed(*_kept(status))[1:] == [
        "gateway-os 1.1  complete  100 %",
        "  from usb 1.0 MiB",
        "artifact cccccccccccc  complete  100 %",
        "  from usb 1.0 MiB",
    ]
