"""Settings of the care for the line: how much of it p2pupd may take, and when."""

from dataclasses import dataclass

from p2pupd.core.allowance import LOWER_EFFORT, Limits
from p2pupd.core.windows import parse_window, window_mistake
from p2pupd.model.setting import Bytes, setting, within


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]`: of this device's payload on the local network. A reload applies them at once."""

    upload: Bytes = setting(
        Bytes(0), "Bytes per second that this device sends to all neighbours together; 0 is any"
    )
    download: Bytes = setting(
        Bytes(0), "Bytes per second that it takes from all neighbours together; 0 is any"
    )
    seed_cap: Bytes = setting(
        Bytes(0),
        "Bytes per second that all seeds of the site send together: every seed takes an equal "
        "share, by the seeds that it sees; 0 is any",
    )
    dscp: int = setting(
        LOWER_EFFORT,
        "DSCP of packets with payload: 1 yields to everything else (RFC 8622, lower effort), 0 is "
        "best effort. On connections that are open a change shows once they are made anew",
        check=within(0, 63),
    )
    windows: tuple[str, ...] = setting(
        (),
        'When payload may move, by local time: `"22:00-05:00"`, `"Mon-Fri 22:00-05:00"`; empty is '
        "always. Emergency releases move at any time",
        check=window_mistake,
    )

    def limits(self) -> Limits:
        """What they mean to the decision."""
        return Limits(
            self.upload,
            self.download,
            self.seed_cap,
            self.dscp,
            tuple(parse_window(each) for each in self.windows),
        )
