"""sd_notify, spoken to a real socket."""

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pupd.host.systemd import ServiceManager


@contextmanager
def manager_socket(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(5)
        yield server


def test_every_message_reaches_the_socket(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager_socket(address) as server:
        manager = ServiceManager.from_environment({"NOTIFY_SOCKET": address})
        manager.ready()
        manager.status("two\nlines")
        manager.alive()
        manager.stopping()
        got = [server.recv(200).decode() for _ in range(4)]
    assert got == ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1"]
    assert manager.watchdog_timeout is None


def test_an_abstract_socket_is_reached_too() -> None:
    name = f"p2pupd-test-{uuid.uuid4()}"
    with manager_socket(f"\0{name}") as server:
        ServiceManager.from_environment({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert server.recv(100) == b"READY=1"


async def test_the_watchdog_is_fed_twice_in_its_time(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager_socket(address) as server:
        manager = ServiceManager.from_environment(
            {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
        )
        assert manager.watchdog_timeout == 0.1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.run(), 0.4)
        assert [server.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4


async def test_a_daemon_that_stands_still_does_not_say_that_it_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        manager = ServiceManager(str(tmp_path / "notify"), watchdog_timeout=0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.run(lambda: False), 0.2)
        with pytest.raises(BlockingIOError):
            server.recv(100)
    assert "systemd.watchdog-left-alone" in caplog.text


async def test_without_a_manager_nothing_happens() -> None:
    manager = ServiceManager.from_environment({"WATCHDOG_USEC": "1000"})
    assert manager == ServiceManager()
    manager.ready()
    await manager.run()


@pytest.mark.parametrize(
    "watchdog",
    [
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "me"},
    ],
)
def test_a_watchdog_of_somebody_else_is_not_ours(watchdog: dict[str, str]) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": "/run/x"} | watchdog)
    assert manager.watchdog_timeout is None


def test_trouble_is_logged_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager(str(tmp_path / "none")).ready()
    assert "systemd.not-notified" in caplog.text
    assert ServiceManager.from_environment({"NOTIFY_SOCKET": "vsock:2:1"}) == ServiceManager()
    assert "systemd.unknown-address" in caplog.text


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert ServiceManager.from_environment().address == "/run/systemd/notify"
