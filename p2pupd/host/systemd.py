"""Talking to the service manager: sd_notify(3) and sd_watchdog_enabled(3), without its library."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

log = logging.getLogger(__name__)

PINGS_PER_TIMEOUT: Final = 2
_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Where to send notifications: `address` is empty when not run by a service manager.

    `watchdog_timeout` is the time in seconds after which a silent service is killed, or None.
    Sending never raises and never blocks: a manager that does not listen must not stop the daemon.
    """

    address: str = ""
    watchdog_timeout: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ServiceManager":
        """As NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say."""
        environment = os.environ if environment is None else environment
        address = environment.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            log.warning("systemd.unknown-address address=%s", address)
            address = ""
        return cls(address, _watchdog_timeout(environment) if address else None)

    def ready(self) -> None:
        """Start-up is finished: units ordered after this one may start."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.splitlines())}")

    def alive(self) -> None:
        """Keep the watchdog from biting."""
        self._send("WATCHDOG=1")

    async def run(self, lives: Callable[[], bool] = lambda: True) -> None:
        """While `lives()`, say so often enough, until cancelled. Ends without a watchdog.

        That the event loop turns is told by being here at all.
        """
        if self.watchdog_timeout is None:
            return
        while True:
            if lives():
                self.alive()
            else:
                log.error("systemd.watchdog-left-alone")
            await asyncio.sleep(self.watchdog_timeout / PINGS_PER_TIMEOUT)

    def _send(self, message: str) -> None:
        if not self.address:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            with socket.socket(socket.AF_UNIX, kind) as sender:
                sender.connect(address)
                sender.sendall(message.encode())
        except OSError as error:
            log.warning("systemd.not-notified message=%s error=%s", message, error)


def _watchdog_timeout(environment: Mapping[str, str]) -> float | None:
    try:
        timeout = int(environment.get("WATCHDOG_USEC", ""))
        process = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return timeout / _MICRO if timeout > 0 and process == os.getpid() else None
