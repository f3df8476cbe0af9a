"""The benchmark runs from end to end, so that it is there when it is needed."""

import json
import os
import sys
from pathlib import Path

import pytest

from p2pupd.host.processes import Finished, run
from scenarios.bench.plot import medians
from tests.support import ROOT, needs_root, needs_tool

SIZE = 1 << 20
RATE = 100


async def _bench(*arguments: str, before: tuple[str, ...] = ()) -> Finished:
    environment = {"PYTHONPATH": str(ROOT)}
    command = (*before, sys.executable, "-m", "scenarios.bench", *arguments)
    return await run(command, timeout=60, environment=environment)


@needs_root
@needs_tool("curl")
async def test_p2pupd_and_http_run_the_same_course(tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    ended = await _bench(
        *("run", "--devices", "2", "--rate", str(RATE), "--size", "1M", "--rounds", "1"),
        *("--with", "p2pupd,http", "--settle", "0", "--json", str(output)),
    )
    assert ended.code == 0, ended.errors
    assert "x size / rate" in ended.output
    product, http = (json.loads(line) for line in output.read_text().splitlines())
    assert (product["contender"], http["contender"]) == ("p2pupd", "http")
    for each in (product, http):
        assert len(each["times"]) == 2
        assert each["last"] >= SIZE * 8 / (RATE * 1e6) * 0.5
        assert [node["name"] for node in each["nodes"]] == ["seed", "d1", "d2"]
        assert all(node["received"] > SIZE for node in each["nodes"][1:])
        assert all(node["anonymous"] > 0 for node in each["nodes"])
    assert http["seed_images"] > 2
    assert set(product["notes"]) >= {"payload_sent", "wasted", "fetching", "filled"}
    assert medians([product, http], "seed_images")["http"] == {2: http["seed_images"]}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--with", "telegraph"), "telegraph is none of p2pupd, http"),
        (("--size", "12Q"), "write bytes as"),
        (("--set", "swarm"), "write SECTION.KEY=VALUE"),
    ],
)
async def test_a_mistake_on_the_command_line_is_told_in_a_line(
    option: tuple[str, str], said: str
) -> None:
    ended = await _bench("run", *option)
    assert ended.code == 2
    assert said in ended.errors


async def test_without_root_the_benchmark_says_what_it_needs() -> None:
    nobody = ("unshare", "--user") if os.geteuid() == 0 else ()
    ended = await _bench("run", before=nobody)
    assert ended.code == 1
    assert "need root" in ended.errors
