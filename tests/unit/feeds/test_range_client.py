"""Long ranges with blocking sockets, from neighbours of every kind."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, NeighbourBusy, ProtocolError, UpdateError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.feeds.range_client import RangeClient
from p2pupd.model.ids import Sha256
from p2pupd.model.setting import Seconds
from tests.http_swarming import Shelf, serving
from tests.swarming import an_artifact

SETTINGS = NeighbourFeedSettings(connect_timeout=Seconds(5), content_stall=Seconds(0.3))
DIGEST = Sha256("0" * 64)


def ask(port: int, host: str = "127.0.0.1", digest: Sha256 = DIGEST, end: int = 10) -> bytes:
    """Bytes 2 to `end` in buffers of 4."""
    found = bytearray()
    buffer = memoryview(bytearray(4))
    client = RangeClient(SETTINGS, "127.0.0.1" if host == "127.0.0.1" else None)
    client.stream(host, port, digest, range(2, end), buffer, found.extend, lambda _: None)
    return bytes(found)


@contextmanager
def answering(*parts: bytes) -> Iterator[int]:
    """A neighbour that answers one call with these bytes, whatever it is asked, then stays open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def answer() -> None:
            call, _ = server.accept()
            with call:
                call.recv(4096)
                for part in parts:
                    call.sendall(part)
                done.wait(10)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()


def head(status: str, length: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *more]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


RANGE = "Content-Range: bytes 2-9/100"


def test_the_bytes_come_in_order_buffer_by_buffer() -> None:
    with answering(head("206 Partial Content", 8, RANGE), b"abc", b"defgh") as port:
        assert ask(port) == b"abcdefgh"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (head("503 Busy", 0), NeighbourBusy),
        (head("429 Too Many", 0), NeighbourBusy),
        (head("404 Not Found", 0), FetchError),
        (head("302 Found", 0, "Location: http://127.0.0.1/"), FetchError),
        (head("200 OK", 8), ProtocolError),
        (head("206 Partial Content", 8, "Content-Range: bytes 0-7/100"), ProtocolError),
        (head("206 Partial Content", 9, RANGE), ProtocolError),
        (head("206 Partial Content", 8, RANGE, "Content-Encoding: deflate"), ProtocolError),
        (b"HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n", ProtocolError),
        (b"nonsense\r\n\r\n", FetchError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, FetchError),
        (head("206 Partial Content", 8, RANGE) + b"abc", FetchError),
        (b"", FetchError),
    ],
)
def test_what_is_not_the_answer_is_an_error(answer: bytes, error: type[UpdateError]) -> None:
    with answering(answer) as port, pytest.raises(error):
        ask(port)


@pytest.mark.parametrize("status", ["503 Busy", "200 OK"])
def test_an_answer_that_is_refused_leaves_no_descriptor_open(status: str) -> None:
    """Also while somebody still looks at the error."""
    with answering(head(status, 0, "Connection: close")) as port:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(UpdateError) as error:
            ask(port)
        settled = len(os.listdir("/proc/self/fd"))
        assert str(error.value)
        assert settled <= before + 1


def test_nobody_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchError, match="does not answer"):
        ask(port)


def test_another_thread_can_break_it_off() -> None:
    cuts: list[Callable[[], None]] = []
    patient = NeighbourFeedSettings(content_stall=Seconds(60))

    def cut_later(cut: Callable[[], None]) -> None:
        cuts.append(cut)
        threading.Timer(0.05, cut).start()

    with answering() as port, pytest.raises(FetchError):
        RangeClient(patient).stream(
            "127.0.0.1",
            port,
            DIGEST,
            range(8),
            memoryview(bytearray(8)),
            bytearray().extend,
            cut_later,
        )
    cuts[0]()


@pytest.fixture
async def shelf(tmp_path: Path) -> tuple[Shelf, Sha256, bytes]:
    artifact, content = an_artifact(tmp_path, 1_000_000)
    made = Shelf()
    made.add(artifact, tmp_path)
    return made, artifact.sha256, content


async def test_the_real_peer_api_gives_exactly_what_was_asked_for(
    shelf: tuple[Shelf, Sha256, bytes],
) -> None:
    made, digest, content = shelf
    async with serving(made) as peer:
        got = await asyncio.to_thread(ask, peer.api_port, peer.host, digest, len(content))
        assert got == content[2:]
        with pytest.raises(FetchError):
            await asyncio.to_thread(ask, peer.api_port, peer.host, DIGEST)
