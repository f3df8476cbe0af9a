"""The contract of a discovery backend."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from p2pupd.model.device import Announcement, Neighbour
from p2pupd.model.ids import DeviceId
from p2pupd.wire.messages import Hello

AskHello = Callable[[str, int], Awaitable[Hello]]
"""Asks the peer API at (IP address, port) who it is. Raises FetchError or ProtocolError, soon."""


class DiscoveryListener(Protocol):
    """Both are called on the event loop and must not block."""

    def neighbour_seen(self, neighbour: Neighbour) -> None:
        """A neighbour appeared, or what it announces has changed."""

    def neighbour_lost(self, neighbour: DeviceId, source: str) -> None:
        """`source` no longer knows that neighbour."""


class Discovery(Protocol):
    """One way to find neighbours. `run` returns only when cancelled, and then leaves no trace."""

    async def run(self, listener: DiscoveryListener) -> None:
        """Announce this device and listen until cancelled.

        Raises HostError when the network refuses (the supervisor starts it again with back-off).
        """

    def announce(self, announcement: Announcement) -> None:
        """Say this from now on. The first change is sent at once, later ones rate-limited."""
