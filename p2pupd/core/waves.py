"""The order in which a release reaches a floor. A device's place in it needs no news of others."""

import hashlib
from collections.abc import Collection
from typing import Final

from p2pupd.model.release import Release
from p2pupd.model.rollout import EVERYBODY, WHOLE, Rollout

CANARIES: Final = "the canaries"


def place(device: str, component: str, release: int) -> int:
    """Where `device` stands for that release: 0 to 999, the same wherever it is computed.

    The first 8 bytes of SHA-256 over `DEVICE/COMPONENT/RELEASE`, as a share of a thousand.
    """
    said = hashlib.sha256(f"{device}/{component}/{release}".encode()).digest()
    return int.from_bytes(said[:8], "big") * WHOLE >> 64


def stage_of(release: Release, device: str, groups: Collection[str]) -> int:
    """The stage in which `device` installs: 0 for canaries, 1 for the first wave, and so on.

    Without canary groups nobody is in stage 0.
    """
    policy = release.rollout
    if not set(policy.canary_groups).isdisjoint(groups):
        return 0
    where = place(device, release.component, release.release)
    return next(n for n, wave in enumerate(policy.waves, 1) if where < wave.permille)


def earlier_stages(policy: Rollout, stage: int) -> range:
    """The stages that must have succeeded before `stage` may begin."""
    return range(0 if policy.canary_groups else 1, stage)


def soak_minutes(policy: Rollout, stage: int) -> int:
    """How long the stage after this one waits once it has succeeded."""
    return policy.waves[stage - 1].soak_minutes if stage else policy.canary_soak_minutes


def stage_name(policy: Rollout, stage: int) -> str:
    """For people: `wave 2 of 3`, or the canaries."""
    return f"wave {stage} of {len(policy.waves)}" if stage else CANARIES


def staged(policy: Rollout) -> bool:
    """Whether devices come one after the other at all."""
    return policy.waves != EVERYBODY or bool(policy.canary_groups)
