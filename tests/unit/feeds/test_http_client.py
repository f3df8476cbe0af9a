"""The way to a server far away: redirects, TLS, proxies, credentials."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2pupd.errors import ConfigError, FetchError, SourceGone
from tests.far_server import (
    Behaviour,
    Request,
    answer,
    certificate,
    far,
    part_of,
    proxy,
)
from tests.support import needs_tool
from tests.uplink_line import CONTENT, HASTY, RELEASE, SETTINGS, line, to


def redirect(where: Callable[[], str], status: str = "302 Found") -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await answer(status=status, Location=where())(request, writer)

    return behave


async def test_redirects_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    async with (
        far(part_of(CONTENT)) as other,
        to(tmp_path, redirect(lambda: "/moved"), redirect(lambda: f"{other.url}/x")) as (_, there),
    ):
        assert await there.content.read(RELEASE, 7, 10) == CONTENT[7:17]
        assert other.requests[0].path == "/far/x"
        assert other.requests[0].part == (7, 16)
    async with to(tmp_path, redirect(lambda: "/round")) as (server, there):
        with pytest.raises(FetchError, match="more than 5 redirects"):
            await there.content.read(RELEASE, 0, 10)
        assert len(server.requests) == 6


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http:///x"])
async def test_a_redirect_leads_to_http_only(tmp_path: Path, where: str) -> None:
    async with to(tmp_path, redirect(lambda: where), settings=HASTY) as (_, there):
        with pytest.raises(FetchError):
            await there.content.read(RELEASE, 0, 10)


@needs_tool("openssl")
async def test_tls_is_verified_and_never_left(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path)
    async with far(part_of(CONTENT)) as plain:
        script = (part_of(CONTENT), redirect(lambda: plain.url))
        async with far(*script, tls=context) as server:
            async with line(tmp_path, server.url, HASTY) as there:
                with pytest.raises(SourceGone, match="certificate"):
                    await there.content.read(RELEASE, 0, 10)
            async with line(tmp_path, server.url, replace(HASTY, ca_file=cert)) as there:
                assert await there.content.read(RELEASE, 0, 10) == CONTENT[:10]
                with pytest.raises(FetchError, match="not followed"):
                    await there.content.read(RELEASE, 0, 10)
        assert plain.requests == []


async def test_certificates_that_cannot_be_read_are_a_mistake_of_the_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "rubbish").write_text("no certificate")
    for name in ("none", "rubbish"):
        with pytest.raises(ConfigError, match="ca_file"):
            async with line(tmp_path, "https://x/", replace(HASTY, ca_file=tmp_path / name)):
                pass


@needs_tool("openssl")
async def test_a_proxy_is_gone_through(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path)
    async with (
        proxy() as (address, lines),
        far(part_of(CONTENT)) as plain,
        far(part_of(CONTENT), tls=context) as secret,
    ):
        through = replace(SETTINGS, proxy=address, ca_file=cert)
        for server in (plain, secret):
            async with line(tmp_path, server.url, through) as there:
                assert await there.content.read(RELEASE, 3, 10) == CONTENT[3:13]
    assert lines[0].startswith(f"GET http://127.0.0.1:{plain.port}/far/targets/")
    assert lines[1].startswith(f"CONNECT 127.0.0.1:{secret.port} ")


async def test_a_proxy_that_refuses_is_told(tmp_path: Path) -> None:
    async with far(answer(status="407 Proxy Authentication Required")) as server:
        through = replace(HASTY, proxy=f"http://127.0.0.1:{server.port}")
        async with line(tmp_path, "https://127.0.0.1:1/", through) as there:
            with pytest.raises(SourceGone, match="407 Proxy Authentication Required"):
                await there.content.read(RELEASE, 0, 10)
    assert server.requests[0].line.startswith("CONNECT 127.0.0.1:1 ")


@pytest.mark.parametrize("heeded", [True, False])
async def test_the_environments_proxy_is_taken_only_where_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heeded: bool
) -> None:
    async with proxy() as (address, lines), far(part_of(CONTENT)) as server:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        settings = replace(SETTINGS, proxy_from_environment=heeded)
        async with line(tmp_path, server.url, settings) as there:
            assert await there.content.read(RELEASE, 3, 10) == CONTENT[3:13]
        assert bool(lines) is heeded


async def test_credentials_are_sent_and_never_shown(tmp_path: Path) -> None:
    async with far(part_of(CONTENT), answer(status="404 Not Found")) as server:
        url = server.url.replace("http://", "http://acme:secret@")
        async with line(tmp_path, url) as there:
            await there.content.read(RELEASE, 0, 10)
            assert server.requests[0].headers["authorization"].startswith("Basic ")
            with pytest.raises(FetchError) as caught:
                await there.content.read(RELEASE, 0, 10)
            assert "secret" not in str(caught.value)
