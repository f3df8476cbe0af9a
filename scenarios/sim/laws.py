"""What must hold on every floor, looked at from above: by what is so, not by what anybody knows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from p2pupd.core.waves import earlier_stages, soak_minutes, stage_of
from p2pupd.core.windows import LocalTime, is_open, parse_window
from p2pupd.model.deployment import Phase
from p2pupd.model.ids import DeviceId
from p2pupd.model.rollout import WHOLE
from scenarios.sim.course import MINUTE, Plan
from scenarios.sim.device import Device
from scenarios.sim.view import Cell


@dataclass(frozen=True, slots=True)
class _Begun:
    """A device that installed, and which newcomers it knew of when it began."""

    device: Device
    knew: frozenset[DeviceId]


@dataclass(slots=True)
class _Stage:
    """The devices that were there from the start are counted, newcomers by name."""

    members: int = 0
    confirmed: int = 0
    failed: int = 0
    newcomers: list[Device] = field(default_factory=list)
    succeeded: float | None = None
    begun: list[_Begun] = field(default_factory=list)


class Laws:
    """A limit is about the devices of which somebody knows: nobody can wait for a newcomer that it
    has not heard of, and one that comes makes its wave larger."""

    def __init__(self, plan: Plan, devices: Sequence[Device]) -> None:
        self._plan = plan
        policy = plan.release.rollout
        self._limit = policy.max_failures or WHOLE
        self._stages = [_Stage() for _ in range(len(policy.waves) + 1)]
        self._first = {each.id for each in devices}
        self._where: dict[str, int] = {}
        self._known_at_heal: dict[str, dict[DeviceId, int]] = {}
        self.begun = 0
        self.at_once = 0
        for each in devices:
            self._stages[self._stage(each)].members += 1
        for stage in self._stages:
            stage.succeeded = 0.0 if not stage.members else None

    def joins(self, device: Device) -> None:
        """A newcomer."""
        self._stages[self._stage(device)].newcomers.append(device)

    def begins(self, device: Device, now: float, devices: Iterable[Device]) -> None:
        """A device begins to install: it must be its turn."""
        policy, number = self._plan.release.rollout, self._stage(device)
        for earlier in earlier_stages(policy, number):
            stage = self._stages[earlier]
            ready = self._proved(stage, device)
            assert ready, f"{self._name(device)} ran ahead of stage {earlier}"
            assert stage.succeeded is not None
            soaked = stage.succeeded + soak_minutes(policy, earlier) * MINUTE
            assert now >= soaked, f"{self._name(device)} did not let stage {earlier} soak"
        minutes = int(now // 60)
        local = LocalTime(minutes // 1440 % 7, minutes % 1440)
        windows = [parse_window(each) for each in policy.windows]
        assert is_open(windows, local), f"{self._name(device)} installs outside of its windows"
        self._check_number(device, devices)
        self._where[device.id] = device.part
        self._stages[number].begun.append(_Begun(device, self._newcomers_known_to(device)))
        self.begun += 1

    def _newcomers_known_to(self, device: Device) -> frozenset[DeviceId]:
        come = (each.id for stage in self._stages for each in stage.newcomers)
        return frozenset(each for each in come if device.view.get(each) is not None)

    def _proved(self, stage: _Stage, device: Device) -> bool:
        """Whether the limit is out of reach in truth, among the devices that this one knows."""
        knew = self._newcomers_known_to(device)
        come = [each for each in stage.newcomers if each.id in knew]
        members = stage.members + len(come)
        undecided = members - stage.confirmed - sum(map(_works, come))
        return not members or undecided * WHOLE < self._limit * members

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
        stage = self._stages[self._stage(device)]
        if device.id in self._first:
            stage.confirmed += _works(device)
            stage.failed += not _works(device)
        members = stage.members + sum(map(_works, stage.newcomers))
        if (stage.members - stage.confirmed) * WHOLE < self._limit * members:
            stage.succeeded = now if stage.succeeded is None else stage.succeeded

    def died(self, device: Device) -> None:
        """A device does not come back."""
        if device.id in self._first:
            self._stages[self._stage(device)].failed += 1

    def healed(self, devices: Iterable[Device]) -> None:
        """The network is whole again: note what anybody on it knows of anybody, place by place."""
        self._known_at_heal = {}
        for cell in {cell for each in devices if each.on for cell in each.view.cells}:
            known = self._known_at_heal.setdefault(cell.place, {})
            for device, seen in cell.seen.items():
                known[device] = max(known.get(device, 0), seen.record.news)

    def met_again(self, devices: Iterable[Device], since: float) -> None:
        """By now everybody that was on all the time knows what anybody knew when it healed."""
        good: set[Cell] = set()
        for device in [each for each in devices if each.on and each.started <= since]:
            for cell in device.view.cells:
                if cell not in good:
                    self._check_cell(cell, device)
                    good.add(cell)

    def _check_cell(self, cell: Cell, holder: Device) -> None:
        for device, news in self._known_at_heal.get(cell.place, {}).items():
            seen = cell.seen.get(device)
            held = seen.record.news if seen else 0
            assert held >= news, (
                f"{self._name(holder)} has not heard of {device[:7]} since the network healed"
            )

    def converged(self, devices: Iterable[Device]) -> None:
        """All that live have the same view."""
        views = {each.view.news() for each in devices if each.on}
        assert len(views) <= 1, f"{len(views)} different views half an hour after the last heal"

    def at_the_end(self) -> None:
        """A release that failed on its limit of a wave never reached a later one."""
        for number, stage in enumerate(self._stages):
            for each in [each for after in self._stages[number + 1 :] for each in after.begun]:
                come = [new for new in stage.newcomers if new.id in each.knew]
                members, failed = stage.members + len(come), stage.failed + sum(map(_failed, come))
                assert not failed or failed * WHOLE < self._limit * members, (
                    f"{self._name(each.device)} installed what failed in stage {number}"
                )

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


def _works(device: Device) -> bool:
    return device.ended is not None and device.ended.phase is Phase.CONFIRMED


def _failed(device: Device) -> bool:
    return device.dead or (device.ended is not None and device.ended.phase is not Phase.CONFIRMED)
