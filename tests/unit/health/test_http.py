"""The HTTP probe against servers that behave, and that do not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from p2pupd.health.http import BODY_LIMIT, HttpProbe
from p2pupd.health.interface import ProbeResult
from p2pupd.health.settings import HttpProbeSettings

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A server whose `serve` gets the head of each request; yields its URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(await reader.readuntil(b"\r\n\r\n"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


def answering(raw: bytes) -> Serve:
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return serve


async def ask(url: str, timeout: float = 5, **wants: object) -> ProbeResult:
    return await HttpProbe(HttpProbeSettings("web", url, **wants)).run(timeout)  # type: ignore[arg-type]


async def test_expected_status_is_healthy() -> None:
    async with server(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as url:
        assert await ask(url) == ProbeResult(True)


async def test_request_names_host_path_and_query() -> None:
    heads = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")

    async with server(serve) as url:
        await ask(f"{url}/health?deep=1")
        assert heads[0].startswith(b"GET /health?deep=1 HTTP/1.0\r\n")
        assert f"Host: {url.removeprefix('http://')}\r\n".encode() in heads[0]


async def test_other_status_is_unhealthy() -> None:
    async with server(answering(b"HTTP/1.1 503 Down\r\n\r\n")) as url:
        assert await ask(url) == ProbeResult(False, f"{url} answered 503, not 200 to 299")
        assert (await ask(url, status_from=500, status_to=599)).ok


async def test_body_must_contain_the_wanted_text() -> None:
    async with server(answering(b'HTTP/1.1 200 OK\r\n\r\n{"state": "ready"}')) as url:
        assert (await ask(url, contains='"ready"')).ok
        result = await ask(url, contains="degraded")
        assert result == ProbeResult(False, f"{url}: the body does not contain 'degraded'")


async def test_endless_body_is_read_up_to_the_limit_only() -> None:
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT - 4) + b"good" + b"late")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(serve) as url:
        assert (await ask(url, contains="good")).ok
        assert not (await ask(url, contains="late")).ok


@pytest.mark.parametrize(
    "raw",
    [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"],
)
async def test_what_is_not_http_is_unhealthy(raw: bytes) -> None:
    async with server(answering(raw)) as url:
        result = await ask(url)
        assert not result.ok
        assert "not HTTP" in result.detail


async def test_endless_head_is_unhealthy() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\n" + b"X-Fill: y\r\n" * 5000)) as url:
        assert "its head is too long" in (await ask(url)).detail


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_slow_answer_is_unhealthy(sent: bytes) -> None:
    released = asyncio.Event()

    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await released.wait()

    async with server(serve) as url:
        result = await ask(url, timeout=0.05, contains="ready")
        released.set()
    assert result == ProbeResult(False, f"{url} did not answer within 0.05 s")


async def test_nobody_listening_is_unhealthy() -> None:
    async with server(answering(b"")) as url:
        pass
    result = await ask(url)
    assert not result.ok
    assert url in result.detail


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://127.0.0.1/\N{SNOWMAN}"])
async def test_url_that_makes_no_sense_is_unhealthy(url: str) -> None:
    assert not (await ask(url)).ok


async def test_stream_that_never_ends_is_healthy_once_it_has_said_enough() -> None:
    released = asyncio.Event()

    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: ready\n\n")
        await writer.drain()
        await released.wait()

    async with server(serve) as url:
        assert (await ask(url)).ok
        assert (await ask(url, contains="ready")).ok
        released.set()


async def test_https_to_a_server_without_tls_is_unhealthy() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        result = await ask(f"https://127.0.0.1:{port}")
    assert not result.ok
    assert "within" not in result.detail
