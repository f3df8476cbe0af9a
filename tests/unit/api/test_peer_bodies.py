"""What neighbours send to the peer API: taken within limits, or refused."""

import pytest

from p2pupd.errors import FetchError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.peer_client import PeerClient
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.wire import sync
from tests.unit.api.test_peer import HOST, Caller, served


def _neighbour(caller: Caller) -> Neighbour:
    realm = Realm("0" * 16)
    return Neighbour(DeviceId("a" * 52), HOST, caller.port, 0, realm, "", Role.PEER, "test")


@pytest.mark.parametrize("body", [b"", b"\xc1", b"x" * 100])
async def test_a_notification_that_is_none_is_refused(body: bytes) -> None:
    async with served() as caller:
        assert await caller.post(body) == 400
        assert caller.device.heard == []


async def test_a_comparison_may_be_so_large_and_no_larger() -> None:
    async with served() as caller, PeerClient(NeighbourFeedSettings()) as client:
        largest = b"x" * sync.MAX_BYTES
        assert await client.sync(_neighbour(caller), largest) == largest
        with pytest.raises(FetchError, match="413"):
            await client.sync(_neighbour(caller), largest + b"x")
