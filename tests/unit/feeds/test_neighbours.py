"""Which neighbour is asked, when, and what becomes of the answer."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from p2pupd.errors import FetchError
from p2pupd.feeds.interface import Offer
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.neighbours import HOLDERS_LIMIT, NeighbourFeed
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.ids import DeviceId, ManifestDigest, Realm, announced
from p2pupd.model.setting import Seconds
from tests.support import eventually, running

SETTINGS = NeighbourFeedSettings()
OLD, NEW, NEWER = b"old bundle", b"new bundle", b"newer bundle"


def digest(raw: bytes) -> ManifestDigest:
    return ManifestDigest(hashlib.sha256(raw).hexdigest())


def neighbour(letter: str, raw: bytes) -> Neighbour:
    host = f"127.0.0.{ord(letter)}"
    return Neighbour(
        DeviceId(letter * 52),
        host,
        7830,
        6881,
        Realm("0" * 16),
        announced(digest(raw)) if raw else "",
        Role.PEER,
        "mdns",
    )


class Floor:
    """What the neighbours have, by the letter of their id; and this device as listener."""

    def __init__(self) -> None:
        self.has: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked: list[str] = []
        self.offers: list[Offer] = []
        self.current: ManifestDigest | None = digest(OLD)
        self.suspects: list[str] = []

    async def ask(self, host: str, _: int, have: ManifestDigest | None) -> bytes | None:
        letter = chr(int(host.rpartition(".")[2]))
        self.asked.append(letter)
        await self.answering.wait()
        if letter in self.broken:
            raise FetchError(f"{host} does not answer")
        raw = self.has[letter]
        return None if digest(raw) == have else raw

    def offer(self, offer: Offer) -> None:
        self.offers.append(offer)

    def source_gone(self, source: str) -> None:
        raise AssertionError(source)

    def source_refused(self, source: str, error: Exception) -> None:
        raise AssertionError(source, error)


@asynccontextmanager
async def feeding(
    floor: Floor, settings: NeighbourFeedSettings = SETTINGS
) -> AsyncIterator[NeighbourFeed]:
    feed = NeighbourFeed(
        settings,
        floor.ask,
        lambda: floor.current,
        suspect=lambda device: floor.suspects.append(device[0]),
        chance=lambda: 0.99,
    )
    async with running(feed.run(floor)):
        yield feed


async def idle() -> None:
    """Let everything that can happen without time passing happen."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_manifest_that_we_lack_is_fetched_and_offered() -> None:
    floor = Floor()
    floor.has["a"] = NEW
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.offers)

    assert floor.offers == [Offer("neighbour:" + "a" * 52, NEW)]


async def test_a_device_without_any_manifest_takes_the_first() -> None:
    floor = Floor()
    floor.current = None
    floor.has["a"] = NEW
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.offers)


async def test_our_own_manifest_and_none_at_all_are_no_news() -> None:
    floor = Floor()
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", OLD))
        feed.neighbour_seen(neighbour("b", b""))
        await idle()

    assert floor.asked == []


async def test_of_several_with_the_same_manifest_one_is_asked() -> None:
    floor = Floor()
    floor.has = dict.fromkeys("abc", NEW)
    async with feeding(floor) as feed:
        for letter in "abc":
            feed.neighbour_seen(neighbour(letter, NEW))
        await eventually(lambda: floor.offers)
        await idle()

    assert len(floor.asked) == 1
    assert len(floor.offers) == 1


async def test_when_one_fails_the_next_is_asked_at_once() -> None:
    floor = Floor()
    floor.has = dict.fromkeys("abc", NEW)
    floor.broken = {"a", "b"}
    async with feeding(floor) as feed:
        for letter in "abc":
            feed.neighbour_seen(neighbour(letter, NEW))
        await eventually(lambda: floor.offers)

    assert floor.asked[-1] == "c"
    assert floor.suspects == floor.asked[:-1]


async def test_a_neighbour_that_failed_is_asked_again_after_a_while() -> None:
    floor = Floor()
    floor.has["a"] = NEW
    floor.broken = {"a"}
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.asked == ["a"])
        floor.broken.clear()
        await idle()
        assert floor.offers == []

        await eventually(lambda: floor.offers)


async def test_a_neighbour_that_left_is_not_asked() -> None:
    floor = Floor()
    floor.has["b"] = NEWER
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        feed.neighbour_lost(DeviceId("a" * 52), "view")
        feed.neighbour_seen(neighbour("b", NEWER))
        await eventually(lambda: floor.offers)

    assert floor.asked == ["b"]


async def test_what_was_offered_and_not_accepted_is_not_fetched_again() -> None:
    floor = Floor()
    floor.has = dict.fromkeys("ab", NEW)
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.offers)
        feed.neighbour_seen(neighbour("b", NEW))
        feed.neighbour_seen(neighbour("a", NEW))
        await idle()

    assert floor.asked == ["a"]


async def test_after_a_while_or_when_told_to_check_it_is_fetched_again() -> None:
    floor = Floor()
    floor.has["a"] = NEW
    async with feeding(floor, NeighbourFeedSettings(again_after=Seconds(0.05))) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: len(floor.offers) == 3)
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: len(floor.offers) == 4)
        feed.check()
        await eventually(lambda: len(floor.offers) == 5)


async def test_the_manifest_that_we_had_before_is_no_news() -> None:
    floor = Floor()
    floor.has = {"a": NEW, "b": OLD}
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.offers)
        floor.current = digest(NEW)
        feed.neighbour_seen(neighbour("b", OLD))
        await idle()

    assert floor.asked == ["a"]


async def test_a_neighbour_that_has_something_else_than_it_announced_is_taken_at_its_word() -> None:
    floor = Floor()
    floor.has = {"a": OLD, "b": NEWER}
    async with feeding(floor) as feed:
        feed.neighbour_seen(neighbour("a", NEW))
        await eventually(lambda: floor.asked == ["a"])
        feed.neighbour_seen(neighbour("b", NEW))
        await eventually(lambda: floor.offers)
        await idle()

    assert floor.asked == ["a", "b"]
    assert [offer.bundle for offer in floor.offers] == [NEWER]


async def test_a_neighbour_that_announces_ever_new_manifests_is_slowed_down() -> None:
    floor = Floor()
    async with feeding(floor) as feed:
        for number in range(50):
            raw = f"bundle {number}".encode()
            floor.has["a"] = raw
            feed.neighbour_seen(neighbour("a", raw))
            await idle()

    assert len(floor.asked) == SETTINGS.bundle_burst
    assert len(floor.offers) == SETTINGS.bundle_burst


async def test_only_some_manifests_are_fetched_at_the_same_time() -> None:
    floor = Floor()
    floor.has = {letter: letter.encode() for letter in "abcdefgh"}
    floor.answering.clear()
    async with feeding(floor) as feed:
        for letter, raw in floor.has.items():
            feed.neighbour_seen(neighbour(letter, raw))
        await idle()
        assert len(floor.asked) == SETTINGS.bundles_at_once

        floor.answering.set()
        await eventually(lambda: len(floor.offers) == len(floor.has))


async def test_neighbours_and_offered_manifests_are_remembered_within_bounds() -> None:
    floor = Floor()
    floor.has = {letter: letter.encode() for letter in "abcdefgh"}
    async with feeding(floor, NeighbourFeedSettings(remembered=2)) as feed:
        for letter, raw in floor.has.items():
            feed.neighbour_seen(neighbour(letter, raw))
        await eventually(lambda: len(floor.offers) >= len(floor.has))
        assert len(feed._offered) == 2

        for number in range(2 * HOLDERS_LIMIT):
            feed.neighbour_seen(
                Neighbour(DeviceId(str(number)), "x", 1, 1, Realm(""), "", Role.PEER, "mdns")
            )
        assert len(feed._holders) == HOLDERS_LIMIT
