from dataclasses import replace
from typing import Any

import pytest
from zeroconf.asyncio import AsyncServiceInfo

from p2pupd.discovery.records import (
    SERVICE,
    TXT_LIMIT,
    instance,
    neighbour_from,
    service_info,
)
from p2pupd.model.device import Announcement, Neighbour, Role
from p2pupd.model.ids import DeviceId, Realm

ID = DeviceId("abcdefghijklmnopqrstuvwxyz234567" + "a" * 20)
ANNOUNCEMENT = Announcement(ID, Realm("0123456789abcdef"), "f" * 16, Role.SEED, 7830, 6881)
TEXT = {
    b"v": b"1",
    b"id": ID.encode(),
    b"realm": b"0123456789abcdef",
    b"m": b"f" * 16,
    b"bt": b"6881",
    b"role": b"seed",
}


def claimed(**changes: Any) -> Neighbour | None:
    fields: dict[str, Any] = {
        "name": f"{ID}.{SERVICE}",
        "port": 7830,
        "properties": TEXT,
        "parsed_addresses": ["192.0.2.7"],
    } | changes
    return neighbour_from(AsyncServiceInfo(SERVICE, **fields), "mdns", 5.0)


def test_what_one_device_announces_another_reads() -> None:
    info = service_info(ANNOUNCEMENT, ["192.0.2.7", "198.51.100.7"])

    neighbour = neighbour_from(info, "mdns", 5.0)

    assert neighbour is not None
    assert neighbour.host in ("192.0.2.7", "198.51.100.7")
    assert (neighbour.id, neighbour.realm, neighbour.manifest) == (ID, ANNOUNCEMENT.realm, "f" * 16)
    assert (neighbour.port, neighbour.bt_port, neighbour.role) == (7830, 6881, Role.SEED)
    assert (neighbour.source, neighbour.last_seen) == ("mdns", 5.0)


def test_the_text_is_small_and_names_no_host_or_model() -> None:
    info = service_info(ANNOUNCEMENT, ["192.0.2.7"])

    assert len(info.text) <= TXT_LIMIT
    assert set(info.properties) == {b"v", b"id", b"realm", b"m", b"bt", b"role"}
    assert info.name == f"{ID}.{SERVICE}"
    assert info.server == f"{ID}.local."


def test_an_uplink_is_announced_and_read() -> None:
    info = service_info(replace(ANNOUNCEMENT, uplink=True), ["192.0.2.7"])

    neighbour = neighbour_from(info, "mdns", 5.0)

    assert neighbour is not None
    assert neighbour.uplink
    assert len(info.text) <= TXT_LIMIT
    for text in (TEXT, TEXT | {b"up": b"0"}, TEXT | {b"up": None}):
        without = claimed(properties=text)
        assert without is not None
        assert not without.uplink


def test_a_device_without_a_manifest_is_a_neighbour() -> None:
    neighbour = claimed(properties=TEXT | {b"m": b""})

    assert neighbour is not None
    assert neighbour.manifest == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"name": f"printer.{SERVICE}"},
        {"name": f"{'b' * 52}.{SERVICE}"},
        {"port": 0},
        {"parsed_addresses": []},
        {"parsed_addresses": ["fd00::1"]},
        {"properties": {}},
        {"properties": TEXT | {b"v": b"2"}},
        {"properties": TEXT | {b"id": None}},
        {"properties": TEXT | {b"realm": b"0123"}},
        {"properties": TEXT | {b"realm": b"0123456789abcde\xff"}},
        {"properties": TEXT | {b"m": b"z" * 16}},
        {"properties": TEXT | {b"bt": b"65536"}},
        {"properties": TEXT | {b"bt": b"-1"}},
        {"properties": TEXT | {b"role": b"king"}},
        {"properties": TEXT | {b"x": b"y" * 250, b"z": b"y" * 250}},
    ],
)
def test_records_that_break_a_rule_are_no_neighbour(changes: dict[str, Any]) -> None:
    assert claimed(**changes) is None


def test_only_names_of_our_service_that_are_device_ids_are_instances() -> None:
    assert instance(f"{ID.upper()}.{SERVICE}") == ID
    assert instance(f"{ID}._http._tcp.local.") is None
    assert instance(f"x.{ID}.{SERVICE}") is None
