"""The command line's side of the control API: blocking HTTP over the Unix socket, no aiohttp."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from p2pupd.errors import DaemonUnreachable, UpdateError

ANSWER_TIMEOUT: Final = 30.0
"""Seconds without a byte from the daemon before it counts as unreachable."""


class RemoteError(UpdateError):
    """An error that the daemon reported; `code` is the exit code it named."""

    def __init__(self, message: str, reason: str, code: int) -> None:
        super().__init__(message, reason=reason)
        self.code = code  # type: ignore[misc]


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ControlClient:
    """Talks to the daemon behind `socket_path`."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def answers(self) -> bool:
        """Whether somebody listens there."""
        connection = _SocketConnection(self._path)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def get(self, target: str) -> Any:
        """The JSON answer. Raises DaemonUnreachable, or the daemon's error as RemoteError."""
        return self._call("GET", target, None)

    def post(self, target: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer to a POST, like `get`."""
        return self._call("POST", target, body or {})

    def stream(self, target: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """JSON lines as they come; an error line raises RemoteError."""
        connection, response = self._request("POST", target, body)
        with connection:
            if response.status != 200:
                raise _remote(response.read())
            try:
                for line in response:
                    value = json.loads(line)
                    if "error" in value:
                        raise _remote(line)
                    yield value
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def _call(self, method: str, target: str, body: dict[str, Any] | None) -> Any:
        connection, response = self._request(method, target, body)
        with connection:
            try:
                raw = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
        if response.status != 200:
            raise _remote(raw)
        return json.loads(raw)

    def _request(
        self, method: str, target: str, body: dict[str, Any] | None
    ) -> tuple["_Closing", http.client.HTTPResponse]:
        connection = _SocketConnection(self._path)
        raw = None if body is None else json.dumps(body).encode()
        headers = {} if raw is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, target, raw, headers)
            return _Closing(connection), connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> DaemonUnreachable:
        said = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        return DaemonUnreachable(
            f"no answer on {self._path}: {said}; is `p2pupd daemon` "
            "running with this configuration, and may you use its socket?"
        )


class _Closing:
    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _remote(raw: bytes) -> UpdateError:
    try:
        error = json.loads(raw)["error"]
        return RemoteError(str(error["message"]), str(error["reason"]), int(error["code"]))
    except (ValueError, KeyError, TypeError):
        return UpdateError(f"the daemon answered with something else: {raw[:200]!r}")
