"""What a seed stands for: the floor's size, its troubles, the release and its policy."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from p2pupd.model.release import Release
from p2pupd.model.rollout import EVERYBODY, Rollout, Wave
from tests.builders import a_release

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
MANY: Final = 2000
LIMITS: Final = (50, 100, 200, 300)


@dataclass(frozen=True, slots=True)
class Split:
    """The network falls into `parts` at `begin` and is whole again at `end`."""

    begin: float
    end: float
    parts: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are seconds of virtual time. `fails` is the share of devices on which the release fails
    its trial, `dies` the share of those that never come back. `loss` is the share of messages that
    are lost, `reboots` how often each device restarts by chance, `newcomers` come while it runs.
    `fetched`: everybody has the release before the time begins."""

    seed: int
    devices: int
    until: float
    release: Release
    fails: float = 0.0
    dies: float = 0.0
    loss: float = 0.0
    reboots: int = 0
    newcomers: int = 0
    canaries: int = 0
    fetched: bool = False
    splits: tuple[Split, ...] = ()


def drawn(seed: int, devices: int, until: float = DAY) -> Plan:
    """The plan of that seed: every kind of trouble, in any mixture."""
    dice = Random(seed)
    fails = dice.choice([0.0, 0.0, 0.02, 0.1, 0.3, 0.5, 1.0])
    splits = []
    at = dice.uniform(0.2 * HOUR, 3 * HOUR)
    for _ in range(dice.choice([0, 1, 1, 2])):
        end = at + dice.uniform(10 * MINUTE, 3 * HOUR)
        splits.append(Split(at, end, dice.choice([2, 2, 3])))
        at = end + dice.uniform(10 * MINUTE, 2 * HOUR)
    return Plan(
        seed,
        devices,
        until,
        a_release(7, rollout=_policy(dice)),
        fails=fails,
        dies=dice.choice([0.0, 0.0, 0.2, 1.0]),
        loss=dice.choice([0.0, 0.05, 0.2]),
        reboots=dice.choice([0, 1, 2]),
        newcomers=dice.choice([0, 0, 2]),
        canaries=max(1, devices // 20),
        fetched=devices > MANY,
        splits=tuple(each for each in splits if each.end < until - 2 * HOUR),
    )


def _policy(dice: Random) -> Rollout:
    shares = sorted(dice.sample(range(20, 900), dice.choice([0, 1, 2, 3])))
    soaks = [dice.choice([0, 15, 60]) for _ in shares]
    waves = (*(Wave(a, b) for a, b in zip(shares, soaks, strict=True)), Wave(1000))
    policy = Rollout(
        waves=waves or EVERYBODY,
        max_failures=dice.choice(LIMITS),
        max_concurrent=dice.choice([None, None, 1, 3, 10]),
        windows=dice.choice([(), (), ("02:00-06:00", "10:00-20:00")]),
    )
    if dice.random() < 0.4:
        policy = replace(policy, canary_groups=("lab",), canary_soak_minutes=dice.choice([0, 30]))
    return policy
