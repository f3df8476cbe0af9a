"""The uplink feed: what it asks for, what it offers, and when it says that it is there."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, SourceGone, UpdateError
from p2pupd.feeds.tuf_http import ask_once, without_credentials
from p2pupd.model.setting import Bytes, Seconds
from p2pupd.wire import bundle as wire
from tests.far_server import Behaviour, Far, Request, answer, far, part_of, silence
from tests.publishing import Device, Publisher
from tests.serving import served
from tests.sticks import metadata, released, signed, write_repository
from tests.support import eventually
from tests.uplink_rig import (
    CONTENT,
    FIRST,
    LIMITS,
    NEWS,
    NO_NEWS,
    SETTINGS,
    asked,
    everything,
    following,
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_repository(tmp_path / "shop", CONTENT)
    return tmp_path / "shop"


async def test_a_repository_is_offered_once_and_then_asked_with_one_request(
    shop: Path, tmp_path: Path
) -> None:
    often = replace(SETTINGS, interval=Seconds(0.05))
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, often) as rig:
            await eventually(lambda: rig.heard.offers)
            assert rig.bundles == [metadata()]
            assert rig.heard.offers[0].source == f"uplink:{server.url}"
            await eventually(lambda: len(server.requests()) >= len(FIRST) + 3)
            assert server.requests()[: len(FIRST) + 3] == FIRST + 3 * NO_NEWS
            assert len(rig.heard.offers) == 1
            assert rig.changes == [True]


async def test_an_operators_check_asks_and_offers_again(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server:
        async with following(tmp_path / "state", server.url) as rig:
            await eventually(lambda: rig.heard.offers)
            rig.feed.check()
            await eventually(lambda: len(rig.heard.offers) == 2)
            await asked(server, FIRST, NO_NEWS)
            assert rig.changes == [True]


async def test_news_are_offered_with_the_content_within_reach(shop: Path, tmp_path: Path) -> None:
    often = replace(SETTINGS, interval=Seconds(0.05))
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, often) as rig:
            await eventually(lambda: rig.heard.offers)
            write_repository(shop, CONTENT, version=2)
            await eventually(lambda: len(rig.heard.offers) == 2)
            assert rig.bundles[1] == metadata(2)
            remote = rig.heard.offers[1].remote
            assert remote is not None
            assert await remote.read(released(CONTENT), 5, 10) == CONTENT[5:15]


async def test_what_it_offers_is_what_a_device_believes(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    device = Device(tmp_path / "device", publisher.read().anchor)
    publisher.add(1)
    with served(publisher.directory) as server:
        known = device.verifier.current_bundle
        async with following(tmp_path / "state", server.url, known=known) as rig:
            await eventually(lambda: rig.heard.offers)
            device.accept(rig.bundles[0])
            release = publisher.add(2)
            rig.feed.check()
            await eventually(lambda: len(rig.heard.offers) == 2)
            assert release in device.accept(rig.bundles[1]).releases
            remote = rig.heard.offers[1].remote
            assert remote is not None
            assert await remote.layer(release)


async def test_after_a_restart_no_news_cost_one_request_and_are_offered_again(
    shop: Path, tmp_path: Path
) -> None:
    bundle = wire.encode(wire.Bundle(metadata()))
    with served(shop) as server:
        async with following(tmp_path / "state", server.url) as rig:
            await eventually(lambda: rig.heard.offers)
        async with following(tmp_path / "state", server.url, known=lambda: bundle) as rig:
            await eventually(lambda: rig.heard.offers)
            assert rig.heard.offers[0].bundle == bundle
            await asked(server, FIRST, NO_NEWS)
        async with following(tmp_path / "else", server.url, known=lambda: bundle) as rig:
            await eventually(lambda: rig.heard.offers)
            await asked(server, FIRST, NO_NEWS, NEWS)


@pytest.mark.parametrize("seen", ["", "[]", '{"tag": 5}'])
async def test_a_damaged_memory_costs_one_answer(shop: Path, tmp_path: Path, seen: str) -> None:
    bundle = wire.encode(wire.Bundle(metadata()))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "uplink-seen.json").write_text(seen)
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, known=lambda: bundle) as rig:
            await eventually(lambda: rig.heard.offers)
            await asked(server, NEWS)


async def test_roots_that_the_device_believes_are_not_fetched_again(
    shop: Path, tmp_path: Path
) -> None:
    known = wire.encode(wire.Bundle(metadata()))
    write_repository(shop, CONTENT, version=2)
    (shop / "metadata" / "2.root.json").write_bytes(signed(2))
    with served(shop) as server:
        async with following(tmp_path / "state", server.url, known=lambda: known) as rig:
            await eventually(lambda: rig.heard.offers)
            new = ["GET /metadata/2.root.json 200", "GET /metadata/3.root.json 404"]
            await asked(server, NEWS, new, everything(version=2))
            assert rig.bundles == [metadata(2) | {"2.root.json": signed(2)}]


async def test_a_line_that_was_down_is_offered_again_though_nothing_is_new(
    shop: Path, tmp_path: Path
) -> None:
    often = replace(SETTINGS, interval=Seconds(0.05))
    with served(shop) as server:
        url = server.url
        place = url.removeprefix("http://")
        async with following(tmp_path / "state", url, often) as rig:
            await eventually(lambda: rig.heard.offers)
            server.stop()
            await eventually(lambda: rig.heard.gone == [f"uplink:{url}"])
            assert not rig.feed.available
            state = rig.state
            assert state["error"].endswith("does not answer: Connection refused")
            assert state["next"] is not None
            with served(shop, place):
                await eventually(lambda: len(rig.heard.offers) == 2)
            assert rig.changes[:3] == [True, False, True]


async def test_a_read_that_gives_up_takes_the_offer_back_and_looks_again(tmp_path: Path) -> None:
    files = metadata()
    dead = [True]

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        name = request.path.rpartition("/")[2]
        if "/targets/" in request.path:
            await (silence if dead else part_of(CONTENT))(request, writer)
        elif name in files:
            await answer(files[name])(request, writer)
        else:
            await answer(status="404 Not Found")(request, writer)

    hasty = replace(SETTINGS, stall_timeout=Seconds(0.2))
    async with far(behave) as server, following(tmp_path / "state", server.url, hasty) as rig:
        await eventually(lambda: rig.heard.offers)
        remote = rig.heard.offers[0].remote
        assert remote is not None
        with pytest.raises(SourceGone):
            await remote.read(released(CONTENT), 0, 10)
        assert rig.heard.gone == [rig.feed.source]
        await eventually(lambda: len(rig.heard.offers) == 2)
        dead.clear()
        assert await remote.read(released(CONTENT), 0, 10) == CONTENT[:10]


def serving(files: dict[str, bytes], **changes: Behaviour) -> Behaviour:
    """A repository with these files, without tags; `changes` by name with `_` for dots."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        name = request.path.rpartition("/")[2]
        missing = answer(status="404 Not Found")
        found = answer(files[name]) if name in files else missing
        key = f"f{name}".replace(".", "_")
        await changes.get(key, found)(request, writer)

    return behave


async def refused(tmp_path: Path, behave: Behaviour, says: str) -> Far:
    async with far(behave) as server, following(tmp_path / "state", server.url) as rig:
        await eventually(lambda: rig.state["error"])
        assert says in rig.state["error"]
        assert rig.heard.offers == []
        assert not rig.feed.available
    return server


BIG = bytes(600_000)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ftimestamp_json": answer(BIG)}, "timestamp.json has more than 4096 bytes"),
        ({"f1_snapshot_json": answer(BIG)}, "1.snapshot.json has more than 65536 bytes"),
        ({"f1_root_json": answer(BIG)}, "1.root.json has more than 65536 bytes"),
        ({"f3_gateway_json": answer(BIG)}, "3.gateway.json has more than 524288 bytes"),
        ({"f3_gateway_json": answer(status="404 No")}, "3.gateway.json answered 404"),
        ({"f1_root_json": answer(status="404 No")}, "1.root.json answered 404"),
        ({"f2_root_json": answer(status="500 No")}, "2.root.json answered 500"),
        ({"ftimestamp_json": answer(b"rubbish")}, "timestamp.json is not JSON"),
        ({"ftimestamp_json": answer(status="304 Not Modified")}, "answered 304"),
        ({"ftimestamp_json": answer(signed(1, snapshot__json=-1))}, "names a metadata file"),
    ],
)
async def test_metadata_that_is_too_large_or_missing_is_no_offer(
    tmp_path: Path, changes: dict[str, Behaviour], says: str
) -> None:
    await refused(tmp_path, serving(metadata(), **changes), says)


async def test_more_roots_than_are_followed_end_somewhere(tmp_path: Path) -> None:
    files = metadata() | {f"{number}.root.json": signed(number) for number in range(1, 200)}
    async with far(serving(files)) as server, following(tmp_path / "state", server.url) as rig:
        await eventually(lambda: rig.heard.offers)
        roots = [name for name in rig.bundles[0] if name.endswith(".root.json")]
        assert len(roots) == LIMITS.max_root_rotations + 1


async def test_more_metadata_than_a_bundle_holds_is_no_offer(tmp_path: Path) -> None:
    names = {f"line{number}__json": 1 for number in range(12)}
    files = metadata() | {"1.snapshot.json": signed(1, **names)}
    files |= {f"1.line{number}.json": bytes(500_000) for number in range(12)}
    await refused(tmp_path, serving(files), "bytes of metadata")


async def test_a_server_without_tags_is_compared_by_content(tmp_path: Path) -> None:
    often = replace(SETTINGS, interval=Seconds(0.05))
    async with (
        far(serving(metadata())) as server,
        following(tmp_path / "state", server.url, often) as rig,
    ):
        await eventually(lambda: rig.heard.offers)
        before = len(server.requests)
        await eventually(lambda: len(server.requests) > before + 2)
        assert {request.path for request in server.requests[before:]} == {
            "/far/metadata/timestamp.json"
        }
        assert len(rig.heard.offers) == 1


async def test_a_failure_is_tried_again_ever_more_rarely(tmp_path: Path) -> None:
    async with (
        far(answer(status="503 Busy")) as server,
        following(tmp_path / "state", server.url) as rig,
    ):
        await eventually(lambda: len(server.requests) == 3)
        state = rig.state
        assert state["next"] - state["since"] > 2
        assert rig.changes == []


async def test_its_state_is_plain_and_without_credentials(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server:
        url = server.url.replace("http://", "http://acme:secret@")
        settings = replace(SETTINGS, rate=Bytes(1 << 20), monthly=Bytes(1 << 30))
        async with following(tmp_path / "state", url, settings) as rig:
            await eventually(lambda: rig.heard.offers)
            state = json.loads(json.dumps(rig.state))
            assert (state["url"], state["available"]) == (server.url, True)
            assert (state["rate"], state["monthly"], state["hours"]) == (1 << 20, 1 << 30, [])
            assert "secret" not in json.dumps(state) + rig.heard.offers[0].source


def test_credentials_are_left_out() -> None:
    assert without_credentials("https://a:b@host:1/x@y") == "https://host:1/x@y"
    assert without_credentials("http://host") == "http://host"


async def test_a_state_directory_that_refuses_stops_nothing(shop: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "uplink-seen.json").mkdir()
    with served(shop) as server:
        async with following(state, server.url) as rig:
            await eventually(lambda: rig.heard.offers)


async def test_doctor_asks_once(shop: Path, tmp_path: Path) -> None:
    with served(shop) as server:
        settings = replace(SETTINGS, url=server.url)
        assert await ask_once(settings, LIMITS, tmp_path) == 1
        with pytest.raises(FetchError, match="404"):
            await ask_once(replace(settings, url=f"{server.url}/none"), LIMITS, tmp_path)
    with pytest.raises(UpdateError):
        await ask_once(settings, LIMITS, tmp_path)


async def test_without_an_address_there_is_no_uplink(tmp_path: Path) -> None:
    async with following(tmp_path / "state", "") as rig:
        rig.feed.check()
        assert rig.feed.state() is None
        assert not rig.feed.available
