"""Where artifacts leave through: may they, at what pace, under which mark on their packets."""

import socket
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final, Protocol

from aiohttp import web


class Outlet(Protocol):
    """What the line lets out (engine.line). Digests are SHA-256."""

    @property
    def dscp(self) -> int:
        """The mark of packets with payload."""

    @property
    def limited(self) -> bool:
        """Whether `admit` keeps a rate."""

    def retry_after(self, digest: str) -> int | None:
        """Seconds until it is worth asking for that artifact again; None: it may move now."""

    def sending(self) -> AbstractContextManager[None]:
        """An artifact is sent meanwhile."""

    async def admit(self, digest: str, amount: int) -> bool:
        """Wait until `amount` more bytes of it may go; False when it may not move any more."""


class OpenOutlet:
    """Everything goes out at once, as best effort."""

    dscp: Final = 0
    limited: Final = False

    def retry_after(self, _: str) -> int | None:
        return None

    def sending(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def admit(self, _digest: str, _amount: int) -> bool:
        return True


def mark(request: web.Request, dscp: int) -> None:
    """Put `dscp` on the packets of this request's connection from now on, where it has one."""
    opened = request.transport.get_extra_info("socket") if request.transport else None
    if opened is None:
        return
    with suppress(OSError):
        if opened.family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
