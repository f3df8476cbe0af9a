"""Parts of a target from servers far away, good ones and others, over real sockets."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, SourceGone
from p2pupd.model.setting import Bytes, Seconds
from tests.contents import layer_of
from tests.far_server import (
    Behaviour,
    Request,
    answer,
    endless,
    far,
    part_of,
    silence,
)
from tests.serving import served
from tests.sticks import layer_path, target_path, write_repository
from tests.support import eventually
from tests.uplink_line import CONTENT, HASTY, RELEASE, SETTINGS, line, to


async def test_a_repository_that_is_served_gives_layers_and_any_part(tmp_path: Path) -> None:
    shop = tmp_path / "a shop"
    write_repository(shop, CONTENT)
    odd = replace(RELEASE, target="gateway/a b/100%?#.img")
    (shop / target_path(odd)).parent.mkdir()
    (shop / target_path(odd)).write_bytes(CONTENT)
    small = replace(SETTINGS, range=Bytes(16384))
    with served(shop) as server:
        async with line(tmp_path, server.url, small) as there:
            content = there.content
            assert await content.layer(RELEASE) is None
            (shop / layer_path(RELEASE)).write_bytes(layer_of(CONTENT))
            assert await content.layer(RELEASE) == layer_of(CONTENT)
            assert await content.read(RELEASE, 0, 100) == CONTENT[:100]
            assert await content.read(odd, 299_999, 1) == CONTENT[-1:]
            assert await content.read(RELEASE, 70_000, 50_000) == CONTENT[70_000:120_000]
            assert there.allowance.bytes_received == len(layer_of(CONTENT)) + 50_101
        parts = ("70000-86383", "86384-102767", "102768-119151", "119152-119999")
        await eventually(lambda: all(f"bytes={each}" in server.log.read_text() for each in parts))


async def test_a_part_that_the_target_does_not_have_is_a_mistake_of_ours(tmp_path: Path) -> None:
    async with to(tmp_path, part_of(CONTENT)) as (server, there):
        for start, count in ((-1, 5), (0, 0), (299_999, 2)):
            with pytest.raises(ValueError, match="has no"):
                await there.content.read(RELEASE, start, count)
        assert server.requests == []


async def test_a_cut_connection_goes_on_after_the_bytes_that_came(tmp_path: Path) -> None:
    script = (part_of(CONTENT, cut=70_000), part_of(CONTENT, cut=80_000), part_of(CONTENT))
    async with to(tmp_path, *script, settings=replace(SETTINGS, retries=1)) as (server, there):
        assert await there.content.read(RELEASE, 1000, 200_000) == CONTENT[1000:201_000]
    asked = [request.part for request in server.requests]
    assert asked == [(1000, 200_999), (71_000, 200_999), (151_000, 200_999)]
    assert [request.headers.get("if-range") for request in server.requests] == [None, '"t"', '"t"']
    assert there.allowance.bytes_received == 200_000


async def test_a_file_that_changed_meanwhile_is_asked_for_without_the_old_tag(
    tmp_path: Path,
) -> None:
    script = (part_of(CONTENT, cut=70_000), part_of(CONTENT, tag='"new"'))
    async with to(tmp_path, *script) as (server, there):
        assert await there.content.read(RELEASE, 5, 100_000) == CONTENT[5:100_005]
    assert [each.headers.get("if-range") for each in server.requests] == [None, '"t"', None]


async def test_a_server_without_ranges_helps_only_from_the_start(tmp_path: Path) -> None:
    async with to(tmp_path, answer(CONTENT)) as (_, there):
        assert await there.content.read(RELEASE, 0, 1000) == CONTENT[:1000]
        with pytest.raises(FetchError, match="cannot send a part of a file") as caught:
            await there.content.read(RELEASE, 1000, 1000)
        assert not isinstance(caught.value, SourceGone)
        assert there.lost == []


async def test_a_server_without_ranges_that_is_cut_begins_anew(tmp_path: Path) -> None:
    script = (answer(CONTENT[:90_000], length=300_000, ETag='"x"'), answer(CONTENT, ETag='"x"'))
    async with to(tmp_path, *script) as (server, there):
        assert await there.content.read(RELEASE, 0, 200_000) == CONTENT[:200_000]
    assert server.requests[-1].part == (90_000, 199_999)


def claims(where: str, length: int = 1000, body: int = 1000) -> Behaviour:
    return answer(bytes(body), "206 Partial Content", length, Content_Range=where)


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (answer(status="404 Not Found"), "404 Not Found"),
        (answer(status="403 Forbidden"), "403 Forbidden"),
        (answer(status="416 Range Not Satisfiable"), "416"),
        (answer(status="204 No Content"), "204"),
        (answer(bytes(1000), "206 Partial Content"), "does not say which part"),
        (claims("bytes 0-999/300000"), "another part was sent"),
        (claims("bytes 1001-1999/300000"), "another part was sent"),
        (claims("bytes 1000-2000/300000", 1001, 1001), "another part was sent"),
        (claims("bytes 1000-999/300000", 0, 0), "another part was sent"),
        (claims("bytes 1000-1999/300001"), "300001 bytes, which is not what was signed"),
        (claims("bytes 1000-1999/300000", 2000, 2000), "contradicts itself"),
        (claims("pages 1-2/3"), "does not say which part"),
        (part_of(CONTENT, shift=-1000), "another part was sent"),
        (
            answer(
                bytes(1000),
                Content_Range="bytes 1000-1999/*",
                Content_Encoding="gzip",
                status="206 P",
            ),
            "is sent in an encoding",
        ),
    ],
)
async def test_a_server_that_lies_or_refuses_is_asked_once(
    tmp_path: Path, behave: Behaviour, says: str
) -> None:
    async with to(tmp_path, behave) as (server, there):
        with pytest.raises(FetchError, match=says) as caught:
            await there.content.read(RELEASE, 1000, 1000)
        assert type(caught.value) is FetchError
        assert len(server.requests) == 1


async def test_a_whole_file_of_another_length_is_refused(tmp_path: Path) -> None:
    async with to(tmp_path, answer(CONTENT + b"0")) as (_, there):
        with pytest.raises(FetchError, match="has 300001 bytes"):
            await there.content.read(RELEASE, 0, 1000)


async def test_of_an_endless_body_only_what_was_asked_for_is_read(tmp_path: Path) -> None:
    body = endless("206 Partial Content", Content_Range="bytes 1000-1999/*")
    async with to(tmp_path, body) as (_, there):
        assert await there.content.read(RELEASE, 1000, 1000) == bytes(1000)
        assert there.allowance.bytes_received == 1000
    async with to(tmp_path, endless()) as (_, there):
        with pytest.raises(FetchError, match="more than 608 bytes"):
            await there.content.layer(RELEASE)


@pytest.mark.parametrize("layer", [b"", layer_of(CONTENT)[:-1]])
async def test_a_layer_of_another_length_is_refused(tmp_path: Path, layer: bytes) -> None:
    async with to(tmp_path, answer(layer)) as (_, there):
        with pytest.raises(FetchError, match="is not 608 bytes long"):
            await there.content.layer(RELEASE)


async def nothing(_: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 206 P\r\nContent-Range: bytes 1000-1999/300000\r\n")
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "behave",
    [
        answer(status="503 Busy"),
        answer(status="429 Slower"),
        silence,
        answer(status="206 P", length=1000, Content_Range="bytes 1000-1999/300000"),
        nothing,
    ],
)
async def test_a_line_that_stays_down_is_given_up(tmp_path: Path, behave: Behaviour) -> None:
    async with to(tmp_path, behave, settings=HASTY) as (_, there):
        with pytest.raises(SourceGone) as caught:
            await there.content.read(RELEASE, 1000, 1000)
        assert caught.value.reason == "uplink-down"
        assert there.lost == [caught.value]


async def test_a_passing_failure_is_waited_for(tmp_path: Path) -> None:
    script = (answer(status="503 Busy"), answer(status="500 Oops"), part_of(CONTENT))
    async with to(tmp_path, *script) as (_, there):
        began = time.monotonic()
        assert await there.content.read(RELEASE, 0, 10) == CONTENT[:10]
        assert time.monotonic() - began > 2
        assert there.lost == []


async def test_where_nobody_listens_the_line_is_down(tmp_path: Path) -> None:
    async with far(silence) as server:
        url = server.url
    async with line(tmp_path, url, HASTY) as there:
        with pytest.raises(SourceGone, match="does not answer"):
            await there.content.read(RELEASE, 0, 10)
        with pytest.raises(SourceGone, match="does not answer"):
            await there.content.layer(RELEASE)


async def test_a_drip_is_too_slow(tmp_path: Path) -> None:
    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-99/300000\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n")
        for number in range(20):
            asyncio.get_running_loop().call_later(number / 10, writer.write, b"x")
        await writer.wait_closed()

    patient = replace(HASTY, stall_timeout=Seconds(0.5))
    async with to(tmp_path, drip, settings=patient) as (_, there):
        with pytest.raises(SourceGone, match="too slow"):
            await there.content.read(RELEASE, 0, 100)


# -- limits ----------------------------------------------------------------------------------------


async def test_a_used_up_month_ends_a_read_and_says_so(tmp_path: Path) -> None:
    limited = replace(SETTINGS, monthly=Bytes(100_000))
    async with to(tmp_path, part_of(CONTENT), settings=limited) as (server, there):
        with pytest.raises(SourceGone, match=r"100000 bytes of .* are used up") as caught:
            await there.content.read(RELEASE, 0, 300_000)
        assert there.lost == [caught.value]
        assert 100_000 <= there.allowance.bytes_received <= 100_000 + 2 * 65536
        with pytest.raises(SourceGone, match="used up"):
            await there.content.layer(RELEASE)
        assert len(server.requests) == 1


async def test_outside_of_its_hours_nothing_is_asked_for(tmp_path: Path) -> None:
    now = time.localtime()
    hour = (now.tm_hour + 2) % 24
    closed = replace(SETTINGS, hours=(f"{hour:02}:00-{hour:02}:01",))
    async with to(tmp_path, part_of(CONTENT), settings=closed) as (server, there):
        with pytest.raises(SourceGone, match="outside of its hours"):
            await there.content.read(RELEASE, 0, 10)
        assert server.requests == []


async def test_a_rate_is_kept_and_its_change_counts_at_once(tmp_path: Path) -> None:
    slow = replace(SETTINGS, rate=Bytes(128 * 1024))
    async with to(tmp_path, part_of(CONTENT), settings=slow) as (_, there):
        began = time.monotonic()
        assert await there.content.read(RELEASE, 0, 262_144) == CONTENT[:262_144]
        assert 0.9 < time.monotonic() - began < 5
        there.allowance.apply(SETTINGS)
        began = time.monotonic()
        await there.content.read(RELEASE, 0, 300_000)
        assert time.monotonic() - began < 1


async def test_waiting_for_the_rate_is_no_stall(tmp_path: Path) -> None:
    slow = replace(SETTINGS, rate=Bytes(128 * 1024), stall_timeout=Seconds(0.2), retries=0)
    async with to(tmp_path, part_of(CONTENT), settings=slow) as (server, there):
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(there.content.read(RELEASE, start, 20_000))
                for start in range(0, 300_000, 20_000)
            ]
        assert b"".join(each.result() for each in parts) == CONTENT
        assert len(server.requests) == len(parts)
