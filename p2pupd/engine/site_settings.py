"""Settings of the site: whose orders count, and when its owner lets devices install."""

from dataclasses import dataclass
from pathlib import Path

from p2pupd.core.turn import SiteRules
from p2pupd.core.windows import window_mistake
from p2pupd.model.setting import NO_PATH, Seconds, at_least, setting, within
from p2pupd.trust.orders import OPERATOR_PATTERN

MOST_OPERATORS = 16


def _operators(value: tuple[str, ...]) -> str | None:
    if len(value) > MOST_OPERATORS:
        return f"names more than {MOST_OPERATORS} operators"
    wrong = next((each for each in value if OPERATOR_PATTERN.fullmatch(each) is None), None)
    if wrong is None:
        return None
    return f"{wrong[:80]!r} is no public key of an operator: 64 hex digits, see `p2pupd site init`"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """`[site]`: what operators may order, and what the site allows at which time."""

    operators: tuple[str, ...] = setting(
        (), "Public keys of those whose orders are obeyed, as `site init` prints", check=_operators
    )
    devices: int = setting(
        2,
        "So many devices the site has at least. Where no more than half of them can be heard, "
        "releases with waves or a number at once wait; 1 where a device is alone",
        check=at_least(1),
    )
    windows: tuple[str, ...] = setting(
        (),
        'When releases may be installed, by local time: `"Sun 02:00-06:00"`; empty is always. '
        "They are fetched at any time (see `limits.windows`)",
        check=window_mistake,
    )
    deferrals: int = setting(
        0, "How often `p2pupd defer` may put a release off", check=within(0, 100)
    )
    deferral: Seconds = setting(
        Seconds(86400.0), "For how long it does so at most", check=within(60, 30 * 86400)
    )
    settle: Seconds = setting(
        Seconds(180.0),
        "News crosses the floor and comes back within this time: a device that would install "
        "waits so long for objections, where a release names how many may do so at once",
        check=at_least(0),
    )
    interlock_file: Path = setting(
        NO_PATH, "While this file exists production is running: nothing is installed or restarted"
    )
    interlock_command: tuple[str, ...] = setting(
        (),
        "Asked before installing and before restarting: any exit but 0 means that production is "
        "running",
    )
    interlock_inhibit: bool = setting(
        False,
        "A block on shutdown held by anybody (systemd-inhibit, asked for by D-Bus) means that "
        "production is running",
    )

    def rules(self, *, consent: bool) -> SiteRules:
        """What they mean to the decision."""
        return SiteRules(consent, self.windows, self.deferrals, self.devices, self.settle)
