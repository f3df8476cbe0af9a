"""A whole device in a few lines, with the power cut at any journal write and between any commands.

The device obeys commands as the real handlers do and boots as the bootloader contract says. What
must hold whatever happens: it never runs a slot that is not completely written, it ends, and it
ends on the new slot only if that was healthy.
"""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.core.lifecycle import step
from p2pupd.core.recovery import recover
from p2pupd.model import commands as do
from p2pupd.model import events as on
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.device import BootFacts
from p2pupd.model.ids import DeploymentId
from tests.builders import a_record, a_release, facts

ID = DeploymentId("1")


class PowerCutError(Exception):
    """The simulated mains went."""


@dataclass
class Device:
    """Slots, boot environment and journal survive; everything else is lost with the power."""

    healthy: bool
    new_boots: bool
    halted: bool
    cuts: list[int]
    boot: BootFacts = field(default_factory=lambda: BootFacts("A", "A", None))
    complete: set[str] = field(default_factory=lambda: {"A"})
    journaled: Deployment = field(
        default_factory=lambda: a_record(Phase.VERIFIED, slot=None, previous_slot=None)
    )
    steps: int = 0

    def tick(self) -> None:
        self.steps += 1
        if self.steps in self.cuts:
            raise PowerCutError

    def power_on(self) -> None:
        facts_now = self.boot
        slot = facts_now.primary
        if facts_now.armed and facts_now.tries_left > 0:
            self.boot = replace(facts_now, tries_left=facts_now.tries_left - 1)
            slot = facts_now.armed if self.new_boots else facts_now.primary
        assert slot in self.complete, "booted a slot that is not completely written"
        self.boot = replace(self.boot, booted=slot)

    def carry_out(self, command: do.Command) -> on.Event | None:
        boot = self.boot
        match command:
            case do.GatherFacts():
                return on.FactsGathered(ID, facts())
            case do.Fetch():
                return on.Fetched(ID)
            case do.AskTurn():
                return on.TurnTaken(ID)
            case do.WriteSlot():
                assert boot.booted == "A"
                self.complete.discard("B")
                self.tick()
                self.complete.add("B")
                return on.Written(ID, "B", "A")
            case do.ArmTrial():
                self.boot = replace(boot, armed="B", tries_left=1)
            case do.Reboot():
                return self.reboot()
            case do.Probe():
                return on.HealthPassed(ID) if self.healthy else on.HealthFailed(ID, "bad", "")
            case do.Commit():
                self.boot = replace(boot, primary="B", armed=None, tries_left=0)
                self.tick()
                return on.Committed(ID)
            case do.RollBack():
                self.boot = replace(boot, primary="A", armed=None, tries_left=0)
        self.tick()
        return on.Booted(ID, self.boot)

    def reboot(self) -> on.Event:
        if self.halted and self.journaled.phase is Phase.ARMED:
            return on.Halted(ID, "")
        raise PowerCutError

    def run(self) -> None:
        record, first = recover(self.journaled)
        self.journaled = record
        event = self.carry_out(first) if isinstance(first, do.Command) else first
        while event is not None:
            after, commands = step(self.journaled, event, 0.0)
            self.tick()
            self.journaled = after
            event = None
            for command in commands:
                self.tick()
                event = self.carry_out(command)


@given(
    healthy=st.booleans(),
    new_boots=st.booleans(),
    halted=st.booleans(),
    cuts=st.lists(st.integers(1, 40), max_size=6, unique=True),
)
def test_a_device_survives_power_cuts_anywhere(
    healthy: bool, new_boots: bool, halted: bool, cuts: list[int]
) -> None:
    device = Device(healthy, new_boots, halted, cuts)
    for _ in range(60):
        device.power_on()
        try:
            device.run()
        except PowerCutError:
            continue
        if device.journaled.phase.ended:
            break
    assert device.journaled.phase.ended
    device.power_on()
    if device.journaled.phase is Phase.CONFIRMED:
        assert device.boot.booted == "B"
        assert healthy
    else:
        assert device.boot.booted == "A"
    if not cuts:
        works = healthy and new_boots and not halted
        assert device.journaled.phase is (Phase.CONFIRMED if works else Phase.REVERTED)
        assert (device.journaled.reason == "halted") is halted
        assert device.journaled.release == a_release()
