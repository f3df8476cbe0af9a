"""What a signed-in operator does in forms: each is one call of the control API.

A session's cookie is for this site only (SameSite=Strict, HttpOnly), each form carries a word of
its session, and a browser that calls on behalf of another site is refused.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from p2pupd.api.control import Controls
from p2pupd.api.dashboard.pages import operate_page, sign_in_page
from p2pupd.api.dashboard.words import Json
from p2pupd.api.doors import foreign, prove
from p2pupd.api.tokens import IDLE, Session, Sessions, Token
from p2pupd.errors import UpdateError, UsageError

LONGEST_ORDER: Final = 16 * 1024
PATIENCE: Final = 10.0
"""Seconds within which a form has arrived."""
Form = Mapping[str, str | bytes | bytearray | web.FileField]
Say = Callable[[str], web.Response]


class Operating:
    """Signs in and out, and acts. Without a token nobody can."""

    def __init__(
        self,
        controls: Controls,
        who: Json,
        token: Token | None,
        sessions: Sessions,
        answer: Callable[..., web.Response],
    ) -> None:
        """`answer` makes a page an answer."""
        self._controls = controls
        self._who = who
        self._token = token
        self._sessions = sessions
        self._answer = answer
        self._cookie = f"p2pupd-{who['device'][:14]}"

    def routes(self) -> list[web.RouteDef]:
        """Everything about it."""
        acts: dict[str, Callable[[Form], Awaitable[str]]] = {
            "check": lambda _: self._controls.check(),
            "approve": self._approve,
            "defer": lambda form: self._controls.defer(_seconds(form)),
            "pause": lambda form: self._controls.pause(_seconds(form)),
            "resume": lambda _: self._controls.resume(),
            "rollback": self._rollback,
            "order": self._order,
        }
        return [
            web.get("/operate", self.operate),
            web.post("/sign-in", self.sign_in),
            web.post("/sign-out", self.sign_out),
            *(web.post(f"/act/{name}", self._act(act)) for name, act in acts.items()),
        ]

    def session(self, request: web.Request) -> Session | None:
        """Who is signed in."""
        return self._sessions.find(request.cookies.get(self._cookie, ""))

    async def operate(self, request: web.Request) -> web.Response:
        session = self.session(request)
        if session is None:
            return self._answer(sign_in_page(self._who, self._token is not None))
        board = await self._controls.floor()
        return self._answer(operate_page(self._who, session, board["releases"]))

    async def sign_in(self, request: web.Request) -> web.Response:
        if foreign(request):
            raise web.HTTPForbidden(text="called on behalf of another site\n")
        if self._token is None:
            return self._answer(sign_in_page(self._who, can=False), status=403)
        said = (await _read(request)).get("token")
        try:
            prove(self._token, said if isinstance(said, str) else "", request.remote or "")
        except web.HTTPTooManyRequests as error:
            wait = error.headers["Retry-After"]
            wrong = f"Too many wrong tokens. Try again in {wait} s."
            page = sign_in_page(self._who, can=True, wrong=wrong)
            return self._answer(page, status=429, headers={"Retry-After": wait})
        except web.HTTPUnauthorized:
            wrong = "That is not the token."
            return self._answer(sign_in_page(self._who, can=True, wrong=wrong), status=403)
        answer = _to("/operate")
        answer.set_cookie(
            self._cookie,
            self._sessions.begin().name,
            max_age=int(IDLE),
            path="/",
            httponly=True,
            secure=request.secure,
            samesite="Strict",
        )
        return answer

    async def sign_out(self, request: web.Request) -> web.Response:
        session, _ = await self._form(request)
        self._sessions.end(session)
        answer = _to("/")
        answer.del_cookie(self._cookie, path="/")
        return answer

    def _act(
        self, act: Callable[[Form], Awaitable[str]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            session, form = await self._form(request)
            try:
                session.said = (True, await act(form))
            except UpdateError as error:
                session.said = (False, f"{error.reason}: {error}")
            return _to("/operate")

        return handler

    async def _form(self, request: web.Request) -> tuple[Session, Form]:
        """The session and its form. Raises HTTPForbidden."""
        session = self.session(request)
        if session is None or foreign(request):
            raise web.HTTPForbidden(text="sign in first\n")
        form = await _read(request)
        said = form.get("form")
        if not isinstance(said, str) or not hmac.compare_digest(
            said.encode("utf-8", "replace"), session.form.encode()
        ):
            raise web.HTTPForbidden(text="that form is not of this session\n")
        return session, form

    async def _approve(self, form: Form) -> str:
        return await self._controls.approve(
            _number(form, "release"), again="again" in form, ahead="ahead" in form
        )

    async def _rollback(self, form: Form) -> str:
        if "sure" not in form:
            raise UsageError("say that you are sure: the device restarts")
        return await self._controls.rollback()

    async def _order(self, form: Form) -> str:
        given = form.get("order")
        if not isinstance(given, web.FileField):
            raise UsageError("choose the file that `p2pupd site ... --out` has written")
        raw = given.file.read(LONGEST_ORDER + 1)
        if len(raw) > LONGEST_ORDER:
            raise UsageError("the file is too long for an order")
        return await self._controls.order(raw)


async def _read(request: web.Request) -> Form:
    """The form, if it comes in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await request.post()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from error
    except ValueError as error:
        raise web.HTTPBadRequest(text="that is no form\n") from error


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


def _number(form: Form, name: str) -> int | None:
    said = form.get(name)
    if not isinstance(said, str) or not said.strip():
        return None
    number = said.strip()
    if not (number.isascii() and number.isdigit()) or len(number) > 15:
        raise UsageError(f"{name} must be a whole number")
    return int(number)


def _seconds(form: Form) -> float | None:
    minutes = _number(form, "minutes")
    return None if minutes is None else minutes * 60.0
