"""A publisher that is killed at any of its writes leaves a repository that devices believe."""

import subprocess
import sys
from pathlib import Path

import pytest

from p2pupd.publisher.authority import refresh
from tests.killed_publisher import operate
from tests.publishing import DAY, Device, Publisher

LATER = 2 * DAY


@pytest.mark.parametrize(
    ("what", "least"),
    [
        ("add", 4),
        ("refresh", 5),
        ("root", 2),
        ("timestamp", 2),
        ("snapshot", 3),
        ("targets", 4),
        ("gateway", 4),
    ],
)
def test_a_repository_survives_a_kill_at_every_write_of(
    what: str, least: int, tmp_path: Path
) -> None:
    template = Publisher(tmp_path / "template")
    first = template.add(1)
    template.image(seed=2)
    command = [sys.executable, "-m", "tests.killed_publisher", str(tmp_path), what]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    states = int(ended.stdout)
    assert states > least
    for state in range(1, states + 1):
        publisher = Publisher.at(tmp_path / str(state))
        anchor = template.read().anchor
        follower = Device(tmp_path / f"follower-{state}", anchor)
        follower.accept(template.read())
        newcomer = Device(tmp_path / f"newcomer-{state}", anchor)
        for device in (follower, newcomer):
            assert first in device.accept(publisher.read(), LATER).releases
        if what != "add" or state < states:
            operate(publisher, what)
        refresh(publisher.directory, publisher.signing(LATER))
        for device in (follower, newcomer):
            found = device.accept(publisher.read(), LATER).releases
            assert [each.release for each in found] == ([1, 2] if what == "add" else [1])
        assert not list((publisher.directory / "targets").glob(".incoming-*"))
