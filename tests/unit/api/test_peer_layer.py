"""Piece layers over the peer API."""

from dataclasses import replace
from pathlib import Path

from p2pupd.model.setting import Seconds
from tests.unit.api.test_peer import DIGEST, SETTINGS, served


async def test_a_piece_layer_is_sent_to_who_can_have_the_artifact(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(bytes(range(64)))
    async with served() as caller:
        caller.device.files[f"{DIGEST}/layer"] = layer

        response = await caller.get(f"artifact/{DIGEST}/layer")

        assert (response.status, response.body) == (200, bytes(range(64)))
        assert response.headers["ETag"] == f'"{DIGEST}-layer"'
        assert (await caller.get(f"artifact/{'0' * 64}/layer")).status == 404
        async with caller.session.head(caller.url(f"artifact/{DIGEST}/layer")) as head:
            assert (head.status, head.headers["Content-Length"]) == (200, "64")


async def test_a_layer_that_takes_long_to_compute_is_asked_for_again_later() -> None:
    async with served(replace(SETTINGS, handler_timeout=Seconds(0.05))) as caller:
        caller.device.thinking.clear()

        response = await caller.get(f"artifact/{DIGEST}/layer")

        assert (response.status, response.headers["Retry-After"]) == (503, "5")
