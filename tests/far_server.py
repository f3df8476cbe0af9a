"""A server far away that misbehaves as a test wants, on real sockets; TLS and a proxy too."""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


@dataclass
class Request:
    """`headers` with names in small letters."""

    line: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.line.split()[1]

    @property
    def part(self) -> tuple[int, int] | None:
        """First and last byte of the Range header."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return (int(match[1]), int(match[2])) if match else None


Behaviour = Callable[[Request, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def answer(
    body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str
) -> Behaviour:
    """Always this; `length` is what it claims to be long."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Content-Length": str(len(body) if length is None else length)} | named
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)

    return behave


def part_of(
    content: bytes, *, cut: int | None = None, shift: int = 0, tag: str = '"t"'
) -> Behaviour:
    """As a good server; but it ends after `cut` bytes, or sends what lies `shift` further."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.part is None or request.headers.get("if-range", tag) != tag:
            await answer(content, ETag=tag)(request, writer)
            return
        first, last = (each + shift for each in request.part)
        body = content[first : last + 1]
        sent = body if cut is None else body[:cut]
        where = f"bytes {first}-{first + len(body) - 1}/{len(content)}"
        claimed = {"Content_Range": where, "ETag": tag}
        await answer(sent, "206 Partial Content", len(body), **claimed)(request, writer)

    return behave


async def silence(_: Request, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the caller leaves."""
    await writer.wait_closed()


def endless(status: str = "200 OK", **headers: str) -> Behaviour:
    """A body without an end."""

    async def behave(_: Request, writer: asyncio.StreamWriter) -> None:
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
        writer.write(head.encode())
        while True:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()

    return behave


@dataclass
class Far:
    """Each request is answered by the next of `script`, the last one over and over."""

    script: list[Behaviour]
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}/far"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            named = (each.partition(":") for each in lines)
            request = Request(line, {name.lower(): value.strip() for name, _, value in named})
            self.requests.append(request)
            behave = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            await behave(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def far(*script: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Far]:
    """A server with that script."""
    server = Far(list(script), scheme="https" if tls else "http")
    running = await asyncio.start_server(server.handle, HOST, 0, ssl=tls)
    async with running:
        server.port = running.sockets[0].getsockname()[1]
        yield server


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that vouches for itself, and a server's context with it."""
    key, cert = directory / "key.pem", directory / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-nodes", "-subj", "/CN=far", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2"]
    command += [*names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """(address of a real forwarding proxy, the request lines that it got)."""
    lines: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            method, target, version = line.decode().split()
            lines.append(line.decode())
            place, _, path = target.removeprefix("http://").partition("/")
            host, _, port = place.partition(":")
            there = await asyncio.open_connection(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                there[1].write(f"{method} /{path} {version}\r\n".encode() + rest)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pour(reader, there[1]))
                group.create_task(_pour(there[0], writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(handle, HOST, 0)
    async with running:
        yield f"http://{HOST}:{running.sockets[0].getsockname()[1]}", lines


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()
