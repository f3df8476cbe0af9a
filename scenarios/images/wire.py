"""A web server that counts what it puts on the wire: status lines, headers, bodies."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

BOUNDARY: Final = "p2pupd-measures"
BLOCK: Final = 1 << 20


class Served(ThreadingHTTPServer):
    """Files of one directory, on a free port of the loopback; ranges, also many in one request."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.sent = 0
        self._lock = Lock()

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, length: int) -> None:
        """So many bytes more are on the wire."""
        with self._lock:
            self.sent += length


@contextmanager
def served(directory: Path) -> Iterator[Served]:
    """Serves in the background of the block."""
    with Served(directory) as server:
        thread = Thread(target=server.serve_forever, name="web")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ranges(said: str | None, size: int) -> list[tuple[int, int]] | None:
    """(first byte, length) of each range asked for; None: the whole. Raises ValueError."""
    if said is None:
        return None
    if not re.fullmatch(r"bytes=\d+-\d*(,\s*\d+-\d*)*", said):
        raise ValueError(said)
    found = []
    for part in said.removeprefix("bytes=").split(","):
        first, _, last = part.strip().partition("-")
        end = min(int(last) + 1 if last else size, size)
        if int(first) >= end:
            raise ValueError(said)
        found.append((int(first), end - int(first)))
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Served

    def do_GET(self) -> None:
        path = self.server.directory / self.path.lstrip("/")
        if not path.is_file():
            self._say(404, {"Content-Length": "0"})
            return
        size = path.stat().st_size
        try:
            wanted = ranges(self.headers["Range"], size)
        except ValueError:
            self._say(416, {"Content-Length": "0", "Content-Range": f"bytes */{size}"})
            return
        with path.open("rb") as file:
            if wanted is None:
                self._say(200, {"Content-Length": str(size)})
                self._send(file, 0, size)
            elif len(wanted) == 1:
                self._one(file, size, *wanted[0])
            else:
                self._many(file, size, wanted)

    def _one(self, file: Any, size: int, first: int, length: int) -> None:
        where = f"bytes {first}-{first + length - 1}/{size}"
        self._say(206, {"Content-Length": str(length), "Content-Range": where})
        self._send(file, first, length)

    def _many(self, file: Any, size: int, wanted: list[tuple[int, int]]) -> None:
        heads = [
            f"\r\n--{BOUNDARY}\r\nContent-Range: bytes {first}-{first + length - 1}/{size}\r\n\r\n"
            for first, length in wanted
        ]
        end = f"\r\n--{BOUNDARY}--\r\n"
        total = sum(map(len, heads)) + sum(length for _, length in wanted) + len(end)
        kind = f"multipart/byteranges; boundary={BOUNDARY}"
        self._say(206, {"Content-Length": str(total), "Content-Type": kind})
        for head, (first, length) in zip(heads, wanted, strict=True):
            self._write(head.encode())
            self._send(file, first, length)
        self._write(end.encode())

    def _say(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} -", "Accept-Ranges: bytes"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        self._write("".join(f"{each}\r\n" for each in [*lines, ""]).encode())

    def _send(self, file: Any, first: int, length: int) -> None:
        file.seek(first)
        while length:
            block = file.read(min(BLOCK, length))
            self._write(block)
            length -= len(block)

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.server.count(len(data))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what is sent is counted."""
