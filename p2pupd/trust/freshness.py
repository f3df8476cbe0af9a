"""What time is it at least? Without a trusted clock, signed statements are the only witness.

The floor is the latest moment that somebody who could sign has claimed: build time of this
software, and `x-p2pupd-issued` of the accepted root, targets and timestamp. The timestamp's key is
online, so its claim counts only while it is earlier than the expiry of root and targets. Expiry is
judged at the later of the floor and a trusted clock; an untrusted clock only warns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from p2pupd.errors import ExpiredError
from p2pupd.model.clock import WallClock
from p2pupd.trust.settings import Freshness, TrustSettings

DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Floor:
    """Claims in Unix seconds, 0 where there is none."""

    build: int = 0
    root: int = 0
    targets: int = 0
    timestamp: int = 0

    @property
    def at_least(self) -> int:
        """It is not earlier than this."""
        return max(self.build, self.root, self.targets, self.timestamp)

    def raised(
        self, root: int, targets: int, timestamp: int, root_expires: int, targets_expires: int
    ) -> "Floor":
        """With the claims of newly accepted metadata; a floor never sinks by this."""
        believable = timestamp if timestamp < min(root_expires, targets_expires) else 0
        return replace(
            self,
            root=max(self.root, root),
            targets=max(self.targets, targets),
            timestamp=max(self.timestamp, believable),
        )


def reference_time(floor: Floor, clock: WallClock) -> int:
    """The moment at which expiry is judged, in Unix seconds."""
    return max(floor.at_least, int(clock.now)) if clock.trusted else floor.at_least


def check_expiry(expires: Mapping[str, int], reference: int) -> None:
    """Raises ExpiredError naming the first role that ended by `reference`, all in Unix seconds."""
    for role, end in expires.items():
        if end <= reference:
            raise ExpiredError(
                f"{role}.json expired on {_day(end)}, and it is at least {_day(reference)}; get a "
                "stick with fresh metadata"
            )


def findings(
    expires: Mapping[str, int], issued: int, clock: WallClock, settings: TrustSettings
) -> tuple[str, ...]:
    """Warnings about metadata that is valid at the reference time.

    `expires` is Unix seconds by role, `issued` the latest claim in it. Raises ExpiredError where
    the setting is strict.
    """
    found = [
        f"{role} expired {int(clock.now - end) // DAY} days ago by this device's clock, which is "
        "not trusted"
        for role, end in expires.items()
        if end <= clock.now and not clock.trusted
    ]
    if issued and clock.now - issued > settings.old_after:
        found.append(f"issued {int(clock.now - issued) // DAY} days ago; is there a newer stick?")
    if found and settings.freshness is Freshness.STRICT:
        raise ExpiredError(f"{found[0]} (trust.freshness is strict)", reason="not-fresh")
    return tuple(found)


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()
