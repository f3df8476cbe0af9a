import os

import pytest

from p2pupd.errors import SwarmError
from p2pupd.swarm.listening import listen, session_settings
from p2pupd.swarm.settings import SwarmSettings
from tests.swarming import an_address


def test_only_tcp_and_no_announcement_of_any_kind() -> None:
    chosen = session_settings(SwarmSettings(), 7000, uploads=True)
    off = ("dht", "lsd", "upnp", "natpmp", "outgoing_utp", "incoming_utp")
    assert not any(dict(chosen)[f"enable_{name}"] for name in off)


@pytest.mark.parametrize(
    ("interfaces", "listens", "calls_from"),
    [
        (("0.0.0.0",), "0.0.0.0:7000", ""),
        (("127.0.0.5",), "127.0.0.5:7000", "127.0.0.5"),
        (("fd00::1",), "[fd00::1]:7000", "fd00::1"),
        (("eth0",), "eth0:7000", ""),
        (("127.0.0.5", "127.0.0.6"), "127.0.0.5:7000,127.0.0.6:7000", ""),
    ],
)
def test_calls_come_from_the_address_that_is_listened_on_where_it_is_the_only_one(
    interfaces: tuple[str, ...], listens: str, calls_from: str
) -> None:
    chosen = session_settings(SwarmSettings(interfaces=interfaces), 7000, uploads=True)
    assert chosen["listen_interfaces"] == listens
    assert chosen["outgoing_interfaces"] == calls_from


def test_port_zero_is_one_free_port() -> None:
    address = an_address()
    listening = listen(SwarmSettings(interfaces=(address,)), uploads=True)
    assert listening.session.listen_port() == listening.port > 0
    listening.close()


def test_the_alarm_is_silent_after_it_was_hushed() -> None:
    listening = listen(SwarmSettings(interfaces=(an_address(),)), uploads=True)
    os.write(listening.bell, b"x" * 5000)
    listening.hush()
    with pytest.raises(BlockingIOError):
        os.read(listening.alarm, 1)
    listening.close()


@pytest.mark.parametrize("interfaces", [(), ("192.0.2.99",), ("nosuch0",)])
@pytest.mark.parametrize("port", [0, 7001])
def test_nothing_to_listen_on_is_an_error(interfaces: tuple[str, ...], port: int) -> None:
    with pytest.raises(SwarmError, match=r"cannot listen .* check swarm\.interfaces"):
        listen(SwarmSettings(interfaces=interfaces, port=port), uploads=True)
