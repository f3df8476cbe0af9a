from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.discovery.static import StaticPeers
from p2pupd.model.device import Announcement, Role
from p2pupd.model.setting import Seconds
from tests.support import eventually, running
from tests.unit.discovery.floor import REALM, Floor, Heard, address, device, hello


async def test_every_configured_peer_is_asked_who_it_is() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1, manifest="a" * 64)
    floor.add(2)
    settings = DiscoverySettings(peers=(f"{address(1)}:7830", f"{address(2)}:7830"))
    peers = StaticPeers(settings, floor.ask, clock=lambda: 7.0)

    async with running(peers.run(heard)):
        peers.announce(Announcement(device(0), REALM, "", Role.PEER, 1, 1))
        await eventually(lambda: len(heard.seen) == 2)

    one = next(found for found in heard.seen if found.id == device(1))
    assert (one.host, one.port, one.bt_port) == (address(1), 7830, 6881)
    assert (one.manifest, one.source, one.last_seen) == ("a" * 16, "static", 7.0)


async def test_a_peer_may_be_named_and_is_reported_by_its_address() -> None:
    floor, heard = Floor(), Heard()
    floor.answers["127.0.0.1"] = hello(1)

    async with running(
        StaticPeers(DiscoverySettings(peers=("localhost:7830",)), floor.ask).run(heard)
    ):
        await eventually(lambda: heard.seen)

    assert heard.seen[0].host == "127.0.0.1"


async def test_a_silent_or_unknown_peer_is_asked_again() -> None:
    floor, heard = Floor(), Heard()
    settings = DiscoverySettings(
        peers=(f"{address(1)}:7830", "no-such-host.invalid:1"), peer_interval=Seconds(0.01)
    )

    async with running(StaticPeers(settings, floor.ask).run(heard)):
        await eventually(lambda: len(floor.asked) > 2)
        assert heard.seen == []
        floor.add(1)
        await eventually(lambda: len(heard.seen) > 2)
