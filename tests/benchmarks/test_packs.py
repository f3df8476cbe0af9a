"""What packing, matching and unpacking cost on one core, and what two hard updates transfer.

    python -m pytest -m benchmark tests/benchmarks/test_packs.py -s

Speeds are MiB of image for a second of processor time, so that neighbours on the machine do not
count; growth is the most resident memory less that before the job.
"""

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packing import image_source, noise, packed, transferred
from tests.support import ROOT

pytestmark = pytest.mark.benchmark

MIB = 1 << 20
BLOCK = 64 << 10


@dataclass(frozen=True)
class Cost:
    """`speed` in MiB/s of processor time, `elapsed` by the clock, `growth` in MiB."""

    speed: float
    elapsed: float
    growth: float


def _cost(job: str, directory: Path) -> Cost:
    command = [sys.executable, "-m", "tests.pack_node", job, str(directory)]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(ended.stdout)
    cost = Cost(found["mib"] / found["processor"], found["mib"] / found["seconds"], found["growth"])
    print(
        f"\n{job}: {cost.speed:.0f} MiB/s ({cost.elapsed:.0f} by the clock), "
        f"memory grows by {cost.growth:.1f} MiB {ended.stderr.strip()}"
    )
    return cost


@pytest.mark.timeout(600)
def test_packing_matching_and_unpacking_are_fast_and_small(tmp_path: Path) -> None:
    _cost("image", tmp_path)
    packing = _cost("pack", tmp_path)
    matching = _cost("find", tmp_path)
    rebuilt = _cost("slot", tmp_path)
    copied = _cost("store", tmp_path)
    unpacking = _cost("unpack", tmp_path)
    assert packing.growth <= 128
    assert matching.speed >= 150
    assert rebuilt.speed >= 100
    assert copied.speed >= 150
    assert max(matching.growth, rebuilt.growth, copied.growth) <= 64
    assert unpacking.speed >= 200
    assert unpacking.growth <= 32


def test_a_tenth_of_the_blocks_of_noise_costs_little_more_than_a_tenth() -> None:
    old, dice = noise(64 * MIB), random.Random(7)
    new = bytearray(old)
    for block in dice.sample(range(64 * MIB // BLOCK), 64 * MIB // BLOCK // 10):
        new[block * BLOCK : (block + 1) * BLOCK] = dice.randbytes(BLOCK)
    before = packed(old)
    after = packed(bytes(new), before)
    alone = packed(bytes(new))
    shares = {
        "from the pack": transferred(after, [before.source]) / len(new),
        "from the slot": transferred(after, [image_source(old)]) / len(new),
    }
    blind = transferred(alone, [before.source]) / len(new)
    print(f"\na tenth changed: {shares}, without the pack of the release before {blind:.4f}")
    assert max(shares.values()) <= 0.118


def test_bytes_inserted_at_the_front_cost_the_header() -> None:
    old = noise(64 * MIB)
    new = noise(1000, seed=2) + old
    before = packed(old)
    for after in (packed(new, before), packed(new)):
        share = transferred(after, [before.source]) / len(new)
        print(f"\ninserted at the front: {share:.4f}")
        assert share <= 0.01


@pytest.mark.timeout(600)
def test_the_installer_unpacks_into_the_slot_fast_and_small(tmp_path: Path) -> None:
    """By the clock too: written, synced, and read back."""
    _cost("image", tmp_path)
    _cost("pack", tmp_path)
    installing = _cost("install", tmp_path)
    assert installing.speed >= 200
    assert installing.growth <= 32
