"""The control API does what its description says: generated requests to a real daemon."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.crowds import Shown, showing

EXAMPLES = 10
RATE = "25/s"
"""Within what one address may ask for."""
NOT_TO_BE_TRIED = ("/v1/export", "/v1/import")
"""They write and read wherever the caller says; tests/fleet/test_commands.py and test_attacks.py
drive them."""
OURS = re.compile(r'File ".*/p2pupd/api/')
"""In a traceback; of what is no HTTP aiohttp says so with one of its own."""
OWN = ("ignored_auth",)
"""After five wrong tokens an address is not listened to (tests/fleet/test_dashboard.py)."""


def _keeps_its_word(shown: Shown, directory: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program), "run", f"{shown.url}/v1/openapi.json",
        "--header", f"Authorization: Bearer {shown.token}",
        "--checks", "all", "--exclude-checks", ",".join(OWN),
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--rate-limit", RATE, "--generation-database", "none", "--no-color",
    ]  # fmt: skip
    for path in NOT_TO_BE_TRIED:
        command += ["--exclude-path", path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=directory)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.timeout(300)
async def test_every_call_does_what_its_description_says(tmp_path: Path) -> None:
    async with showing(tmp_path, 5) as shown:
        await asyncio.to_thread(_keeps_its_word, shown, tmp_path)
        assert OURS.search(shown.device.tail(1000)) is None


async def test_calls_that_are_described_are_those_that_there_are(tmp_path: Path) -> None:
    async with showing(tmp_path) as shown, aiohttp.ClientSession(shown.url) as session:
        async with session.get("/v1/openapi.json") as answer:
            described = await answer.json()
        token = {"Authorization": f"Bearer {shown.token}"}
        for path, calls in described["paths"].items():
            for method in ("get", "post", "put"):
                async with session.request(method, path, headers=token, data=b"[") as answer:
                    there = answer.status not in (404, 405)
                assert there is (method in calls), (method, path)
