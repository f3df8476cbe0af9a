"""A device's newest lines of history, for a neighbour that has a stick."""

from p2pupd.errors import HostError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.device import Neighbour, Role
from tests.unit.api.test_peer import HELLO, HOST, served


def _broken() -> bytes:
    raise HostError("the disk is gone")


async def test_lines_of_history_are_told_to_neighbours() -> None:
    async with served() as caller, PeerClient(NeighbourFeedSettings()) as client:
        there = Neighbour(HELLO.id, HOST, caller.port, 1, HELLO.realm, "", Role.PEER, "test")
        assert await client.log(there) == b"lines"


async def test_a_device_that_cannot_read_its_history_says_when_to_ask_again() -> None:
    async with served() as caller:
        caller.device.lines = _broken
        answer = await caller.get("log")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
