"""Long ranges of artifacts from neighbours' peer APIs, with blocking sockets, for threads.

The event loop would handle every 64 KiB of them; here the bytes go from the kernel into one buffer.
"""

import http.client
import socket
from collections.abc import Callable
from contextlib import suppress

from p2pupd.errors import FetchError, NeighbourBusy, ProtocolError
from p2pupd.feeds.neighbour_settings import NeighbourFeedSettings
from p2pupd.model.ids import Sha256

BUSY = frozenset({429, 503})


class RangeClient:
    """Each call has a connection of its own."""

    def __init__(self, settings: NeighbourFeedSettings, local_address: str | None = None) -> None:
        """`local_address`: the IP address to call from, where the system should not choose."""
        self._settings = settings
        self._local = (local_address, 0) if local_address else None

    def stream(  # noqa: PLR0917 - a plain callable for another room
        self,
        host: str,
        port: int,
        sha256: Sha256,
        wanted: range,
        buffer: memoryview,
        sink: Callable[[memoryview], None],
        opened: Callable[[Callable[[], None]], None],
    ) -> None:
        """Give the bytes `wanted` of an artifact to `sink` in order, `buffer` after `buffer`.

        Blocks; `opened` is told how another thread breaks that off. Raises NeighbourBusy,
        FetchError (silent for `content_stall` seconds, or without them) or ProtocolError.
        """
        settings, url = self._settings, f"http://{host}:{port}/peer/v1/artifact/{sha256}"
        connection = http.client.HTTPConnection(
            host, port, timeout=settings.connect_timeout, source_address=self._local
        )
        try:
            connection.connect()
            assert connection.sock is not None
            sock: socket.socket = connection.sock
            opened(lambda: _hang_up(sock))
            sock.settimeout(settings.content_stall)
            connection.request("GET", f"/peer/v1/artifact/{sha256}", headers=_headers(wanted))
            with connection.getresponse() as answer:
                _check(answer, wanted, url)
                _pour(answer, len(wanted), buffer, sink, url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = str(error) or type(error).__name__
            raise FetchError(f"{url} does not answer: {why}") from error
        finally:
            connection.close()


def _headers(wanted: range) -> dict[str, str]:
    return {"Range": f"bytes={wanted.start}-{wanted.stop - 1}", "User-Agent": "p2pupd"}


def _pour(
    answer: http.client.HTTPResponse,
    left: int,
    buffer: memoryview,
    sink: Callable[[memoryview], None],
    url: str,
) -> None:
    while left:
        view = buffer[: min(left, len(buffer))]
        if answer.readinto(view) != len(view):
            raise ProtocolError(f"{url} ended {left} bytes early")
        sink(view)
        left -= len(view)


def _check(answer: http.client.HTTPResponse, wanted: range, url: str) -> None:
    if answer.status in BUSY:
        raise NeighbourBusy(f"{url} is busy: {answer.status} {answer.reason}", 1)
    if answer.status not in (200, 206):
        raise FetchError(f"{url} answered {answer.status} {answer.reason}")
    part = f"bytes {wanted.start}-{wanted.stop - 1}/"
    right = (
        answer.status == 206
        and answer.getheader("Content-Range", "").startswith(part)
        and answer.length == len(wanted)
        and answer.getheader("Content-Encoding") is None
    )
    if not right:
        raise ProtocolError(f"{url} answered with something else than was asked for")


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
