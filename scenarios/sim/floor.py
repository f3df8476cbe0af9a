"""The floor in virtual time: who says what to whom, who starts, fails, dies, and what must hold."""

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random
from typing import Final

from p2pupd.core.windows import LocalTime
from p2pupd.model.deployment import Phase
from p2pupd.model.fleet import Update
from p2pupd.model.ids import DeviceId
from scenarios.sim.course import HOUR, MINUTE, Plan
from scenarios.sim.device import Device, Library, carried
from scenarios.sim.laws import Laws
from scenarios.sim.view import Cells, View

FAN_OUT: Final = 3
"""One more than the daemon tells at once: here no hello shows whose digest differs."""
COMPARES: Final = 60.0
SMALL: Final = 32
SLOWEST: Final = 6
"""Devices of large floors pass news on, compare and ask so many times more rarely than of small."""
PACE: Final = 1.0
TRIES: Final = 4
MEET: Final = 10 * MINUTE - 1.0
"""So long after a heal everybody knows what anybody knew then; the network is whole for longer."""
WRITTEN: Final = 256
"""On larger floors not every telling of news is put into a message, only as many as there would be
of this size: each record goes through its encoding in any case."""
TALKS: Final = 1 / 8
"""Share of the comparisons that go message by message; on floors of more than 32 less."""
ASKS: Final = 60.0
SMALL_BEAT: Final = 600.0
NOBODY: Final = DeviceId("")
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


class Floor:
    """Runs one plan. `now` is in seconds since midnight of a Monday."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0.0
        self._dice = Random(plan.seed + 1)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._library: Library = {}
        self._cells = Cells(plan.devices + plan.newcomers + 1, plan.release)
        self._spread = min(SLOWEST, 1 + plan.devices // 200)
        self.devices: list[Device] = []
        self._by_id: dict[DeviceId, Device] = {}
        self._parts = range(1)
        self._calmed = False
        for number in range(plan.devices):
            self._add(("lab",) if number < plan.canaries else ())
        self.laws = Laws(plan, tuple(self.devices))
        self.events = 0

    # -- time ------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do `what` at that time."""
        heapq.heappush(self._queue, (when, next(self._numbers), what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do `what` after so many seconds."""
        self.at(self.now + seconds, what)

    def run(self) -> None:
        """To the end of the plan. Raises AssertionError where a law is broken."""
        self._acquaint()
        plan, dice = self.plan, self._dice
        for device in self.devices:
            self._live(device)
            self.at(dice.uniform(0, 10 * MINUTE), self._offered(device))
        for split in plan.splits:
            self.at(split.begin, partial(self._split, split.parts))
            self.at(split.end, self._heal)
            self.at(split.end + MEET, partial(self._met_again, split.end))
        for _ in range(plan.newcomers):
            self.at(dice.uniform(0.1, 0.6) * plan.until, self._newcomer)
        self.at(plan.until - HOUR, self._calm)
        while self._queue and self._queue[0][0] <= plan.until:
            self.now, _, what = heapq.heappop(self._queue)
            self.events += 1
            what()
        self.laws.at_the_end()

    def local(self) -> LocalTime:
        """What the clocks show."""
        minutes = int(self.now // 60)
        return LocalTime(minutes // 1440 % 7, minutes % 1440)

    # -- who is there ----------------------------------------------------------------------------

    def _add(self, groups: tuple[str, ...]) -> Device:
        dice, plan = self._dice, self.plan
        size = max(1.0, plan.devices / SMALL)
        device = Device(
            DeviceId("".join(dice.choices(LETTERS, k=52))),
            groups,
            plan.release,
            int(SMALL_BEAT * size),
            self._library,
            View(self._cells),
            born=self.now,
            started=self.now,
        )
        self.devices.append(device)
        return device

    def _acquaint(self) -> None:
        """The floor is at rest before the release comes: everybody knows everybody."""
        for device in self.devices:
            device.phase = Phase.WAITING if self.plan.fetched else None
            device.say(self.now)
            device.fresh.clear()
        everybody, own = View(self._cells), [each.view.get(each.id) for each in self.devices]
        for said in own:
            assert said is not None, "it has just spoken"
            everybody.take([self._library[said.raw]], but=NOBODY)
        for device, said in zip(self.devices, own, strict=True):
            assert said is not None
            device.view = everybody.copied()
            device.view.keep(said)

    def _newcomer(self) -> None:
        device = self._add(())
        self.laws.joins(device)
        device.part = self._dice.choice(self._parts)
        self._say(device)
        self._live(device)
        self._offered(device)()

    def _live(self, device: Device) -> None:
        dice = self._dice
        self.after(dice.uniform(0, COMPARES), lambda: self._compare(device))
        self.after(dice.uniform(0, device.beat), lambda: self._beat(device))
        for _ in range(self.plan.reboots):
            when = dice.uniform(self.now, max(self.now, self.plan.until - 2 * HOUR))
            self.at(when, lambda: self._reboot_by_chance(device))

    # -- the network -----------------------------------------------------------------------------

    def _split(self, parts: int) -> None:
        """No part has ever the number of an earlier one."""
        self._parts = range(self._parts.stop, self._parts.stop + parts)
        for device in self.devices:
            device.part = self._dice.choice(self._parts)

    def _heal(self) -> None:
        self._split(1)
        self.laws.healed(self.devices)

    def _met_again(self, since: float) -> None:
        self.laws.met_again(self.devices, since)

    def _reachable(self, device: Device, most: int) -> list[Device]:
        """Whom it reaches of so many that it tries."""
        dice, found = self._dice, []
        for _ in range(most):
            other = dice.choice(self.devices)
            lost = dice.random() < self.plan.loss
            if other is not device and other.on and other.part == device.part and not lost:
                found.append(other)
        return found

    def _say(self, device: Device, *, beat: bool = False) -> None:
        device.say(self.now, beat=beat)
        self._speak_soon(device)

    def _speak_soon(self, device: Device) -> None:
        """What is new is passed on after a moment, together with what comes meanwhile."""
        if device.fresh and not device.speaks:
            device.speaks = True
            pace = PACE * self._spread
            self.after(self._dice.uniform(0.2, 1.0) * pace, lambda: self._speak(device))

    def _speak(self, device: Device) -> None:
        device.speaks = False
        if not device.on:
            return
        said = device.tell()
        if self._dice.random() * len(self.devices) < WRITTEN:
            said = carried(said, self._library)
        for other in self._reachable(device, FAN_OUT):
            other.believe(said)
            self._speak_soon(other)
        self._speak_soon(device)

    def _compare(self, device: Device) -> None:
        if device.on:
            for other in self._reachable(device, TRIES)[:1]:
                self._exchange(device, other)
                self._speak_soon(device)
                self._speak_soon(other)
        if not device.dead:
            wait = COMPARES * self._spread * self._dice.uniform(0.75, 1.25)
            self.after(wait, lambda: self._compare(device))

    def _exchange(self, device: Device, other: Device) -> None:
        """Most comparisons go without messages. Either way both views are one after it."""
        if self._dice.random() < TALKS * min(1.0, SMALL / len(self.devices)):
            device.compare(other)
            assert device.view.stamps("") == other.view.stamps(""), "a comparison left a difference"
        else:
            device.meet(other)

    def _beat(self, device: Device) -> None:
        if device.dead:
            return
        if device.on:
            self._say(device, beat=True)
        self.after(device.beat, lambda: self._beat(device))

    # -- the release -----------------------------------------------------------------------------

    def _offered(self, device: Device) -> Callable[[], None]:
        def ready() -> None:
            device.phase = Phase.WAITING
            self._ask(device)

        return ready

    def _ask(self, device: Device) -> None:
        if device.done or device.installs or self._calmed:
            return
        wait = ASKS * self._spread * self._dice.uniform(0.8, 1.2)
        if device.on:
            gate = device.ask(self.now, self.local())
            if gate is None:
                self.laws.begins(device, self.now, self.devices)
                self._install(device)
            elif gate.until is not None:
                wait = min(wait, max(1.0, gate.until - self.now))
            self._say(device)
        self.after(wait, lambda: self._ask(device))

    def _install(self, device: Device) -> None:
        device.phase = Phase.INSTALLING
        self.after(self._dice.uniform(1, 5) * MINUTE, lambda: self._restart(device))

    def _restart(self, device: Device) -> None:
        """Into the new slot, or into nowhere."""
        dice, plan = self._dice, self.plan
        fails = dice.random() < plan.fails
        device.on = False
        if fails and dice.random() < plan.dies:
            device.dead = True
            self.laws.died(device)
            return
        self.after(dice.uniform(0.5, 2) * MINUTE, lambda: self._tried(device, fails))

    def _tried(self, device: Device, fails: bool) -> None:
        self._wake(device)
        end = Phase.REVERTED if fails else Phase.CONFIRMED
        self.after(self._dice.uniform(0.5, 2) * MINUTE, lambda: self._end(device, end))

    def _end(self, device: Device, end: Phase) -> None:
        release = self.plan.release
        device.phase, device.ticket = None, None
        device.runs = release.release if end is Phase.CONFIRMED else device.runs
        reason = "" if end is Phase.CONFIRMED else "unhealthy"
        device.ended = Update(release.component, "7", release.release, end, int(self.now), reason)
        device.look(self.now)
        self.laws.ended(device, self.now)
        self._say(device)

    def _reboot_by_chance(self, device: Device) -> None:
        if device.on and not device.installs:
            device.on = False
            self.after(self._dice.uniform(1, 20) * MINUTE, lambda: self._wake(device))

    def _wake(self, device: Device) -> None:
        """It has its view and its course from the disk, and nothing else."""
        device.on, device.started = not device.dead, self.now
        if not device.installs:
            device.ticket = device.closed = None
        self._say(device)

    # -- the end ---------------------------------------------------------------------------------

    def _calm(self) -> None:
        """From here on nobody begins any more, so that nothing changes when what is under way has
        ended; then all views must be one."""
        self._calmed = True
        self._split(1)
        self.at(self.plan.until - 0.5 * HOUR, lambda: self.laws.converged(self.devices))
