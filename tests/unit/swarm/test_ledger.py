"""Where pieces came from is kept beside them; a ledger that is damaged is none."""

import json
from pathlib import Path

import pytest

from p2pupd.swarm import ledger
from p2pupd.swarm.interface import Injected
from tests.contents import artifact_of

ARTIFACT = artifact_of(bytes(100_000))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert ledger.read(ARTIFACT, tmp_path) is None
    sums = {Injected.USB: 16384, Injected.UPLINK: 1}
    ledger.write(sums, ARTIFACT, tmp_path)
    assert ledger.read(ARTIFACT, tmp_path) == sums


@pytest.mark.parametrize(
    "content",
    [
        '{"usb": Infinity}',
        '{"usb": NaN}',
        '{"usb": null}',
        '{"usb": [1]}',
        '{"moon": 1}',
        "[1]",
        "7",
        "",
        "[" * 4000,
        '{"usb": 1}' + " " * 5000,
        "\xff",
    ],
)
def test_a_damaged_ledger_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / f"{ARTIFACT.pieces_root}{ledger.SUFFIX}"
    path.write_bytes(content.encode("latin-1"))
    assert ledger.read(ARTIFACT, tmp_path) is None


def test_a_ledger_claims_no_more_than_there_can_be(tmp_path: Path) -> None:
    path = tmp_path / f"{ARTIFACT.pieces_root}{ledger.SUFFIX}"
    path.write_text(json.dumps({"usb": 10**12, "reuse": -5}))
    found = ledger.read(ARTIFACT, tmp_path)
    assert found == {Injected.USB: ARTIFACT.length, Injected.REUSE: 0}


@pytest.mark.parametrize("done", [0, 5, 10, 11, 40, 100])
def test_the_sources_sum_to_what_is_there(done: int) -> None:
    lan, others = ledger.attributed(done, {Injected.USB: 10, Injected.UPLINK: 30})
    assert lan + sum(others.values()) == done
    assert lan == max(0, done - 40)
