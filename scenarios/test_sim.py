"""A few simulated floors; many more by `python -m scenarios.sim --devices 30 --seeds 200`."""

import pytest

from scenarios.sim.course import HOUR, drawn
from scenarios.sim.floor import Floor


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_floor_with_troubles_of_every_kind_obeys_its_laws(seed: int) -> None:
    Floor(drawn(seed, 16, 8 * HOUR)).run()


def test_a_seed_reproduces_its_run() -> None:
    floors = [Floor(drawn(11, 12, 6 * HOUR)) for _ in range(2)]
    for each in floors:
        each.run()
    assert floors[0].laws.summary() == floors[1].laws.summary()
    assert floors[0].events == floors[1].events
