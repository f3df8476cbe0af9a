"""What must hold on every floor, looked at from above: by what is so, not by what anybody knows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from p2pupd.core.waves import earlier_stages, soak_minutes, stage_of
from p2pupd.core.windows import LocalTime, is_open, parse_window
from p2pupd.model.deployment import Phase
from p2pupd.model.rollout import WHOLE
from scenarios.sim.course import MINUTE, Plan
from scenarios.sim.device import Device


@dataclass(slots=True)
class _Stage:
    members: int = 0
    confirmed: int = 0
    failed: int = 0
    succeeded: float | None = None
    begun: list[Device] = field(default_factory=list)


class Laws:
    """Devices that were there from the start are the population that a limit is about."""

    def __init__(self, plan: Plan, devices: Sequence[Device]) -> None:
        self._plan = plan
        policy = plan.release.rollout
        self._limit = policy.max_failures or WHOLE
        self._stages = [_Stage() for _ in range(len(policy.waves) + 1)]
        self._first = {each.id for each in devices}
        self._where: dict[str, int] = {}
        self.begun = 0
        self.at_once = 0
        for each in devices:
            self._stages[self._stage(each)].members += 1
        for stage in self._stages:
            stage.succeeded = 0.0 if not stage.members else None

    def begins(self, device: Device, now: float, devices: Iterable[Device]) -> None:
        """A device begins to install: it must be its turn."""
        policy, number = self._plan.release.rollout, self._stage(device)
        for earlier in earlier_stages(policy, number):
            stage = self._stages[earlier]
            ready = stage.succeeded
            assert ready is not None, f"{self._name(device)} ran ahead of stage {earlier}"
            soaked = ready + soak_minutes(policy, earlier) * MINUTE
            assert now >= soaked, f"{self._name(device)} did not let stage {earlier} soak"
        minutes = int(now // 60)
        local = LocalTime(minutes // 1440 % 7, minutes % 1440)
        windows = [parse_window(each) for each in policy.windows]
        assert is_open(windows, local), f"{self._name(device)} installs outside of its windows"
        self._check_number(device, devices)
        self._where[device.id] = device.part
        self._stages[number].begun.append(device)
        self.begun += 1

    def _check_number(self, device: Device, devices: Iterable[Device]) -> None:
        most = self._plan.release.rollout.max_concurrent
        near = [
            each
            for each in devices
            if each.installs
            and each is not device
            and self._where.get(each.id) == device.part == each.part
        ]
        self.at_once = max(self.at_once, len(near) + 1)
        assert most is None or len(near) < most, (
            f"{self._name(device)} is one too many: {len(near)} install already"
        )

    def ended(self, device: Device, now: float) -> None:
        """A device has come to the end of its trial."""
        if device.id not in self._first:
            return
        stage = self._stages[self._stage(device)]
        good = device.ended is not None and device.ended.phase is Phase.CONFIRMED
        stage.confirmed += good
        stage.failed += not good
        if (stage.members - stage.confirmed) * WHOLE < self._limit * stage.members:
            stage.succeeded = now if stage.succeeded is None else stage.succeeded

    def died(self, device: Device) -> None:
        """A device does not come back."""
        if device.id in self._first:
            self._stages[self._stage(device)].failed += 1

    def converged(self, devices: Iterable[Device]) -> None:
        """All that live have the same view."""
        views = {each.index.news.digest() for each in devices if each.on}
        assert len(views) <= 1, f"{len(views)} different views half an hour after the last heal"

    def at_the_end(self, devices: Iterable[Device]) -> None:
        """A release that failed on its limit of a wave never reached a later one."""
        for number, stage in enumerate(self._stages):
            if stage.failed and stage.failed * WHOLE >= self._limit * stage.members:
                later = [each for after in self._stages[number + 1 :] for each in after.begun]
                assert not later, f"{len(later)} devices installed what failed in stage {number}"

    def summary(self) -> str:
        """How it ended, stage by stage."""
        return ", ".join(
            f"{number}: {each.confirmed} of {each.members} work, {each.failed} failed"
            for number, each in enumerate(self._stages)
            if each.members
        )

    def _stage(self, device: Device) -> int:
        return stage_of(self._plan.release, device.id, device.groups)

    def _name(self, device: Device) -> str:
        return f"seed {self._plan.seed}: {device.id[:7]} of stage {self._stage(device)}"
