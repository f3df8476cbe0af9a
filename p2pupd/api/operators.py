"""What operators call: the control API and the dashboard, on the Unix socket and over TCP."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from p2pupd.api import peer
from p2pupd.api.control import BODY_LIMIT, Controls, control_routes, errors
from p2pupd.api.control_socket import serve_socket
from p2pupd.api.dashboard.app import Dashboard
from p2pupd.api.doors import Door, PeerDoor, TokenDoor, guard
from p2pupd.api.files import hide_server
from p2pupd.api.limits import Gate, paced
from p2pupd.api.settings import ControlSettings, DashboardSettings, PeerApiSettings
from p2pupd.api.tokens import Sessions, Token

CONNECTIONS: Final = 128
OF_ONE_ADDRESS: Final = 48
RATE: Final = 30.0
BURST: Final = 150
"""Requests per second of one address over TCP, in the long run and at once."""


class Operators:
    """Builds and serves both doors. `who` names this device: `device` and `site`."""

    def __init__(
        self,
        controls: Controls,
        who: dict[str, Any],
        *,
        control: ControlSettings,
        dashboard: DashboardSettings,
        door: PeerDoor,
        token: str | None,
    ) -> None:
        clock = asyncio.get_running_loop().time
        self._controls = controls
        self._control = control
        self._dashboard = dashboard
        self._door = door
        self._token = None if token is None else Token(token, clock)
        self._who = who
        self._sessions = Sessions(clock)

    async def serve_socket(self, path: Path) -> None:
        """On the Unix socket, until cancelled. Raises HostError."""
        app = self._app(self._door, public=True)
        await serve_socket(app, path, self._control.mode, self._door.group)

    async def serve_dashboard(self) -> None:
        """Over TCP, until cancelled; returns at once where that is off. Raises HostError."""
        endpoint = self._dashboard.endpoint()
        if endpoint is None:
            return
        limits = PeerApiSettings(
            listen=(endpoint[0],),
            port=endpoint[1],
            connections=CONNECTIONS,
            connections_per_address=OF_ONE_ADDRESS,
            requests_per_address=OF_ONE_ADDRESS,
            request_rate=RATE,
            request_burst=BURST,
        )
        gate = Gate(limits, asyncio.get_running_loop().time)
        app = self._app(TokenDoor(self._token), public=self._dashboard.public, gate=gate)
        await peer.serve(app, peer.listen(limits), limits)

    def _app(self, door: Door, *, public: bool, gate: Gate | None = None) -> web.Application:
        pages = Dashboard(self._controls, self._who, self._token, self._sessions, public=public)
        middlewares = [errors, guard(door, self._names(), everything=gate is None)]
        app = web.Application(
            client_max_size=BODY_LIMIT,
            middlewares=middlewares if gate is None else [paced(gate), *middlewares],
        )
        app.on_response_prepare.append(hide_server)
        app.add_routes([*control_routes(self._controls), *pages.routes()])
        return app

    def _names(self) -> Iterable[str]:
        return (each.lower() for each in self._dashboard.names)
