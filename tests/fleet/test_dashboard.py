"""The dashboard of a real daemon, as any HTTP client sees it: who may read, who may act."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import ComponentState, Halt, Update
from scenarios.lib.fleet import on, until
from scenarios.lib.office import today
from tests.crowds import OS, Shown, an_office, kept, realm_of, showing
from tests.saying import device
from tests.support import needs_root

EVIL = '<script>alert("1")</script>'
NOBODY = 65534
FORM = re.compile(r'name="form" value="([^"]+)"')
VERSION = re.compile(r'data-version="([^"]+)"')


@asynccontextmanager
async def browser(shown: Shown) -> AsyncIterator[aiohttp.ClientSession]:
    """Keeps cookies, also of an address."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(shown.url, cookie_jar=jar) as session:
        yield session


async def _signed_in(session: aiohttp.ClientSession, shown: Shown) -> str:
    """The word that forms carry."""
    async with session.post("/sign-in", data={"token": shown.token}) as answer:
        assert answer.status == 200
        found = FORM.search(await answer.text())
    assert found is not None
    return found[1]


async def test_a_page_says_everything_without_a_script_and_forbids_what_it_does_not_need(
    tmp_path: Path,
) -> None:
    async with showing(tmp_path, 31) as shown, browser(shown) as session:
        async with session.get("/?show=failed") as answer:
            text = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert text.count('class="tile') == 32
        for said in ("You may remove the stick now", "wave 1 of 3", "silent", "hold all of it"):
            assert said in text
        assert 'data-show="failed"' in text
        assert "style=" not in text
        assert not re.findall(r"https?://", text)
        async with session.get("/?show=%22%3E%3Cscript%3E") as answer:
            assert "data-show" not in await answer.text()
        number = device(3).id
        async with session.get(f"/device/{number}") as answer:
            page = await answer.text()
            assert ("Why not" in page, "is in wave" in page) == (True, True)
        async with session.get(f"/device/{'q' * 52}") as answer:
            assert answer.status == 404
        async with session.get("/log") as answer:
            assert "manifest.accepted" in await answer.text()


async def test_what_devices_say_is_never_markup(tmp_path: Path) -> None:
    office = an_office(tmp_path)
    why = Update(OS, EVIL, 2, Phase.REVERTED, today(), "x<b>", EVIL[:90])
    said = kept(
        77,
        today(),
        realm=realm_of(office, tmp_path),
        model=EVIL,
        groups=("<img src=x>",),
        hardware_ids=("demo-board",),
        history=(why,),
        version="'><i>",
    )
    async with showing(tmp_path, 0, said, office=office) as shown, browser(shown) as session:
        for path in ("/", f"/device/{device(77).id}"):
            async with session.get(path) as answer:
                text = await answer.text()
            assert "&lt;script&gt;" in text
            assert "<script>alert" not in text
            assert "<img" not in text
            assert "<i>" not in text


async def test_a_halt_is_said_first_with_what_ends_it(tmp_path: Path) -> None:
    office = an_office(tmp_path)
    said = kept(
        77,
        today(),
        realm=realm_of(office, tmp_path),
        hardware_ids=("demo-board",),
        components=(ComponentState(OS, "1.1", 1),),
        halts=(Halt(OS, 2, 0),),
    )
    async with (
        showing(tmp_path, 5, said, office=office) as shown,
        browser(shown) as session,
        session.get("/") as answer,
    ):
        text = await answer.text()
    banner = text[text.index('id="banner"') :]
    assert "Halted: demo-os 1.2" in banner
    assert "signed resume of release 2 ends it" in banner
    assert " left" not in banner[: banner.index("</section>")]


async def test_one_address_leaves_room_for_the_others_to_follow(tmp_path: Path) -> None:
    async with showing(tmp_path, 3) as shown:
        greedy, other = (
            aiohttp.ClientSession(
                shown.url, connector=aiohttp.TCPConnector(limit=0, local_addr=(address, 0))
            )
            for address in ("127.0.0.77", "127.0.0.78")
        )
        async with greedy, other:
            found = VERSION.search(await (await other.get("/")).text())
            assert found is not None
            follow = f"/events/floor?since={found[1]}"
            streams = [await greedy.get(follow) for _ in range(25)]
            assert [each.status for each in streams] == [200] * 24 + [503]
            assert (await other.get(follow)).status == 200
            for each in streams:
                each.close()

            async def room() -> bool:
                again = [await greedy.get(follow) for _ in range(24)]
                for each in again:
                    each.close()
                await asyncio.sleep(1.5)
                return {each.status for each in again} == {200}

            await until(room, 10, "whoever leaves makes room, before it would be written to")


async def test_an_operator_signs_in_acts_and_signs_out(tmp_path: Path) -> None:
    async with showing(tmp_path) as shown, browser(shown) as session:
        form = await _signed_in(session, shown)
        async with session.post("/act/pause", data={"form": form, "minutes": "5"}) as answer:
            assert "payload is paused until" in await answer.text()
        status = await shown.device.status()
        assert status is not None
        assert status["limits"]["moving"] is False
        async with session.post("/act/resume", data={"form": form}) as answer:
            assert "payload moves again" in await answer.text()
        for act, said in (
            ("check", "asked every neighbour"),
            ("approve", "nothing-to-do"),
            ("defer", "no release is on its way"),
            ("rollback", "say that you are sure"),
            ("order", "choose the file"),
        ):
            async with session.post(f"/act/{act}", data={"form": form}) as answer:
                assert said in await answer.text(), act
        async with session.post("/act/defer", data={"form": form, "minutes": "x"}) as answer:
            assert "must be a whole number" in await answer.text()
        async with session.post("/act/rollback", data={"form": form, "sure": "yes"}) as answer:
            assert answer.status == 200
        for size, said in ((10, "malformed"), (20_000, "too long")):
            data = aiohttp.FormData({"form": form})
            data.add_field("order", b"x" * size, filename="order")
            async with session.post("/act/order", data=data) as answer:
                assert said in await answer.text()
        async with session.post("/sign-out", data={"form": form}) as answer:
            assert answer.status == 200
        async with session.post("/act/pause", data={"form": form}) as answer:
            assert answer.status == 403


async def test_nobody_acts_on_behalf_of_another_site_or_without_the_word_of_the_session(
    tmp_path: Path,
) -> None:
    async with showing(tmp_path) as shown, browser(shown) as session:
        form = await _signed_in(session, shown)
        cookie = next(iter(session.cookie_jar))
        assert cookie["httponly"]
        assert cookie["samesite"] == "Strict"
        bearer = {"Authorization": f"Bearer {shown.token}"}
        strangers: list[dict[str, str]] = [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ]
        for headers in strangers:
            for path in ("/act/pause", "/sign-in", "/sign-out"):
                data = {"form": form, "token": shown.token}
                async with session.post(path, data=data, headers=headers) as answer:
                    assert answer.status == 403, (path, headers)
            async with session.post("/v1/pause", headers=headers | bearer) as answer:
                assert answer.status == 403
        for wrong in ("", "x" * len(form), "ä"):
            async with session.post("/act/pause", data={"form": wrong}) as answer:
                assert answer.status == 403
        async with session.get("/", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
        async with session.get("/", headers={"Host": "[::1"}) as answer:
            assert answer.status in (400, 421)
        async with session.get("/", headers={"Host": "line7:8080"}) as answer:
            assert answer.status == 200
        status = await shown.device.status()
        assert status is not None
        assert status["limits"]["moving"] is True


async def test_the_token_opens_the_control_api_and_guesses_are_slowed_down(tmp_path: Path) -> None:
    async with showing(tmp_path) as shown, browser(shown) as session:
        async with session.get("/v1/status") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {shown.token}"}
        async with session.get("/v1/status", headers=right) as answer:
            assert (await answer.json())["role"] == "seed"
        async with session.get("/metrics", headers=right) as answer:
            assert answer.status == 200
        statuses = []
        for guess in range(7):
            headers = {"Authorization": f"Bearer {guess}"}
            async with session.get("/v1/status", headers=headers) as answer:
                statuses.append(answer.status)
        assert statuses == [401] * 5 + [429] * 2
        async with session.get("/v1/status", headers=right) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) <= 11
        async with session.post("/sign-in", data={"token": shown.token}) as answer:
            assert answer.status == 429
            assert "Too many wrong tokens" in await answer.text()


async def test_a_dashboard_that_is_not_public_shows_nothing_before_the_token(
    tmp_path: Path,
) -> None:
    closed: dict[str, dict[str, Any]] = {"dashboard": {"public": False}}
    async with showing(tmp_path, settings=closed) as shown, browser(shown) as session:
        for path in ("/", "/log", f"/device/{device(1).id}", "/events/floor"):
            async with session.get(path) as answer:
                assert answer.status == 403
                assert "Control token" in await answer.text()
        async with session.post("/sign-in", data={"token": "wrong"}) as answer:
            assert answer.status == 403
        await _signed_in(session, shown)
        async with session.get("/") as answer:
            assert "Devices" in await answer.text()


async def test_without_a_token_there_is_nothing_to_sign_in_to(tmp_path: Path) -> None:
    off: dict[str, dict[str, Any]] = {"control": {"token_file": ""}}
    async with showing(tmp_path, settings=off) as shown, browser(shown) as session:
        async with session.get("/operate") as answer:
            assert "has no control token" in await answer.text()
        async with session.post("/sign-in", data={"token": shown.token}) as answer:
            assert answer.status == 403
        headers = {"Authorization": f"Bearer {shown.token}"}
        async with session.get("/v1/status", headers=headers) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["reason"] == "not-allowed"


async def test_changes_come_within_a_second_of_the_event(tmp_path: Path) -> None:
    async with showing(tmp_path, 31) as shown, browser(shown) as session:
        async with session.get("/log") as answer:
            found = VERSION.search(await answer.text())
        assert found is not None
        async with session.get("/events/log", params={"since": found[1]}) as stream:
            assert stream.content_type == "text/event-stream"
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                told = group.create_task(_until_told(stream, "operator.paused"))
                await on(shown.device, "pause")
            came = told.result()
        line = (await shown.device.ask("/v1/history?limit=1000"))[-1]
        assert line["event"] == "operator.paused"
        assert came - line["at"] < 1.0
        async with session.get("/events/floor?since=nonsense") as stream:
            assert (await stream.content.readline()) == b"event: stale\n"


async def _until_told(stream: aiohttp.ClientResponse, what: str) -> float:
    """When it was told (Unix seconds)."""
    async for raw in stream.content:
        if raw.startswith(b"data: ") and what in json.loads(raw[6:]).get("events", ""):
            return time.time()
    raise AssertionError(f"{what} was not told")


async def test_the_socket_has_the_dashboard_too(tmp_path: Path) -> None:
    async with showing(tmp_path) as shown:
        connector = aiohttp.UnixConnector(str(shown.device.directory / "control.sock"))
        async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
            async with session.get("/") as answer:
                assert "Devices" in await answer.text()
            async with session.get("/assets/dashboard.css") as answer:
                tag = answer.headers["ETag"]
            headers = {"If-None-Match": tag}
            async with session.get("/assets/dashboard.css", headers=headers) as answer:
                assert answer.status == 304
            async with session.get("/assets/secret") as answer:
                assert answer.status == 404


ASK = """
import http.client, os, socket, sys
os.setgroups([int(each) for each in sys.argv[3].split()])
os.setgid(65534)
os.setuid(int(sys.argv[2]))
calls = http.client.HTTPConnection("localhost")
calls.sock = socket.socket(socket.AF_UNIX)
calls.sock.connect(sys.argv[1])
calls.request("GET", sys.argv[4])
print(calls.getresponse().status)
"""


def _asks_as(path: Path, user: int, *groups: int, target: str = "/v1/status") -> int:
    named = " ".join(map(str, groups))
    command = [sys.executable, "-c", ASK, str(path), str(user), named, target]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


@needs_root
async def test_the_socket_knows_who_calls_whatever_its_mode_is(tmp_path: Path) -> None:
    control = {"mode": 0o666, "users": ["4711"], "group": "4712"}
    async with showing(tmp_path, settings={"control": control}) as shown:
        shown.device.directory.parent.chmod(0o755)
        path = shown.device.directory / "control.sock"
        await until(shown.device.status, 10, "daemon answers")
        assert path.stat().st_gid == 4712
        assert _asks_as(path, 0) == 200
        assert _asks_as(path, NOBODY) == 403
        assert _asks_as(path, NOBODY, target="/") == 403
        assert _asks_as(path, 4711) == 200
        assert _asks_as(path, NOBODY, 4712) == 200
