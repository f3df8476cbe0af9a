"""`python -m scenarios.sim --devices 1000 --seed 7`, or `--seeds 200` for many small floors."""

import argparse
import gc
import sys
import time

from scenarios.sim.course import HOUR, drawn
from scenarios.sim.floor import Floor


def main() -> int:
    """Run floors; 1 where a law was broken."""
    parser = argparse.ArgumentParser(prog="scenarios.sim", description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=24.0, help="Virtual time.")
    parser.add_argument("--seed", type=int, default=1, help="The first seed.")
    parser.add_argument("--seeds", type=int, default=1, help="How many seeds from there on.")
    said = parser.parse_args()
    gc.disable()  # nothing here refers to itself, and to look for that takes a tenth of the time
    broken = 0
    for seed in range(said.seed, said.seed + said.seeds):
        started = time.perf_counter()
        floor = Floor(drawn(seed, said.devices, said.hours * HOUR))
        try:
            floor.run()
            how = "ok"
        except AssertionError as error:
            how, broken = f"BROKEN: {error}", broken + 1
        took = time.perf_counter() - started
        print(
            f"seed {seed}: {how}; {floor.laws.begun} installed, {floor.laws.at_once} at once, "
            f"{floor.events} events in {took:.1f} s; {floor.laws.summary()}",
            flush=True,
        )
    print(f"{said.seeds - broken} of {said.seeds} floors obeyed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
