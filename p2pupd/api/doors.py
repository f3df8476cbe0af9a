"""Who may call the control API: on the Unix socket certain users, over TCP who has the token.

Browsers carry what others want: a page from elsewhere makes them call, and a name of theirs may
turn into our address. So calls on behalf of other sites are refused, and calls for foreign names.
"""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from p2pupd.api.tokens import Token
from p2pupd.errors import ConfigError, NotAllowed

CREDENTIALS: Final = struct.Struct("3i")
SO_PEERGROUPS: Final = 59
"""Linux 4.13: the supplementary groups of who is at the other end."""
MOST_GROUPS: Final = 256
BEARER: Final = "Bearer "
OPEN: Final = frozenset({"/v1/openapi.json"})
"""What anybody may read who gets so far."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Door = Callable[[web.Request], None]
"""Raises NotAllowed, or an HTTP answer, for who may not call the control API."""


class PeerDoor:
    """Root, the daemon's own user, `users` and members of `group` (a number) may call."""

    def __init__(self, users: Iterable[int], group: int) -> None:
        self._users = frozenset({0, os.geteuid(), *users})
        self.group = group

    def __call__(self, request: web.Request) -> None:
        """See Door."""
        transport = request.transport
        peer = transport.get_extra_info("socket") if transport is not None else None
        if peer is None:
            raise NotAllowed("the caller has left")
        _, user, group = CREDENTIALS.unpack(
            peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        )
        if user in self._users or self.group in (group, *_more_groups(peer)):
            return
        raise NotAllowed(
            f"user {user} may not control p2pupd: name it in control.users, or put it into the "
            f"group {self.group} (control.group)"
        )


def _more_groups(peer: socket.socket) -> tuple[int, ...]:
    with suppress(OSError):
        raw = peer.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MOST_GROUPS)
        return struct.unpack(f"{len(raw) // 4}I", raw)
    return ()


def user_number(user: str) -> int:
    """Of a user's name or number. Raises ConfigError."""
    if user.isascii() and user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise ConfigError(f"control.users: there is no user {user!r}") from error


def group_number(group: str) -> int:
    """Of a group's name or number; the daemon's own where it is empty. Raises ConfigError."""
    if not group:
        return os.getegid()
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigError(f"control.group: there is no group {group!r}") from error


class TokenDoor:
    """Who has the token may call; without one nobody may."""

    def __init__(self, token: Token | None) -> None:
        self._token = token

    def __call__(self, request: web.Request) -> None:
        """See Door."""
        if request.path in OPEN:
            return
        if self._token is None:
            raise NotAllowed("without control.token_file nobody may call by TCP")
        said = request.headers.get("Authorization", "")
        if not said.startswith(BEARER):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        prove(self._token, said.removeprefix(BEARER).strip(), request.remote or "")


def prove(token: Token, said: str, address: str) -> None:
    """Raises HTTPUnauthorized, or HTTPTooManyRequests for who has failed too often."""
    wait = token.wait(address)
    if wait:
        raise web.HTTPTooManyRequests(headers={"Retry-After": str(wait)})
    if not token.proves(said, address):
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def own_name(request: web.Request, names: Iterable[str]) -> bool:
    """Whether it was asked for by an address, a name without a dot, or one of `names`: no page from
    elsewhere has such a name."""
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return False
    with suppress(ValueError):
        return bool(ip_address(host))
    return "." not in host or host in names


def foreign(request: web.Request) -> bool:
    """Whether a browser calls on behalf of another site."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != request.host


def guard(door: Door, names: Iterable[str] = (), *, everything: bool) -> Middleware:
    """The middleware that asks `door` about each call of the control API, or of `everything`."""
    known = frozenset(names)

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not own_name(request, known):
            raise web.HTTPMisdirectedRequest(
                text="call this device by its address, or name its name in dashboard.names\n"
            )
        calls = request.path.startswith("/v1/") or request.path == "/metrics"
        if calls and foreign(request):
            raise web.HTTPForbidden(text="called on behalf of another site\n")
        if calls or everything:
            door(request)
        return await handler(request)

    return admit
