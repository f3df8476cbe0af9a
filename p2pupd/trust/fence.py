"""The version fence: nothing older than what was once accepted, unless its keys have rotated.

The versions of every role are remembered beside a fingerprint of the keys that vouched for them.
When a role's keys change, what the old keys said is void, so that versions pushed up by a thief do
not lock the fleet out (TUF specification 5.3.11, recovery from fast-forward). Which root was
accepted is remembered by its digest: keys that were rotated out cannot grow another chain.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from p2pupd.errors import DowngradeError, SignatureError
from p2pupd.trust.freshness import Floor

ONLINE: Final = frozenset({"timestamp", "snapshot"})
TOP_ROLES: Final = ONLINE | {"root", "targets"}


@dataclass(frozen=True, slots=True)
class Fence:
    """`versions` and `keys` by role name.

    `root` is the digest of what the newest root says, `anchor` of the first one: another anchor is
    another fleet, for which this fence means nothing.
    """

    versions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    floor: Floor = field(default_factory=Floor)
    root: str = ""
    anchor: str = ""

    def under(self, keys: Mapping[str, str]) -> "Fence":
        """What remains of this fence now that `keys` (verified, by role) are those that count."""
        changed = {
            role for role, known in self.keys.items() if role in keys and keys[role] != known
        }
        void = changed - {"root"}
        if changed & ONLINE:
            void |= ONLINE
        if changed & {"snapshot", "targets"}:
            void |= {"targets", *(self.versions.keys() - TOP_ROLES)}
        floor = self.floor
        if "timestamp" in changed:
            floor = replace(floor, timestamp=0)
        if "targets" in changed:
            floor = replace(floor, targets=0)
        left = {role: version for role, version in self.versions.items() if role not in void}
        return replace(self, versions=left, floor=floor)

    def check(self, versions: Mapping[str, int]) -> None:
        """Raises DowngradeError naming the first role that is older than accepted before."""
        for role, version in versions.items():
            accepted = self.versions.get(role, 0)
            if version < accepted:
                raise DowngradeError(
                    f"{role}.json version {version} is older than version {accepted}, which this "
                    "device has already accepted; get a current stick"
                )

    def check_root(self, digest: str) -> None:
        """Raises SignatureError unless the accepted root version is the one with `digest`."""
        if self.root and digest != self.root:
            number = self.versions.get("root", 0)
            raise SignatureError(
                f"{number}.root.json is another one than this device has already accepted: the "
                "root chain has been forked, with keys that were rotated out",
                reason="forked-root",
            )

    def encode(self) -> bytes:
        """As kept on disk: JSON."""
        floor = {name: getattr(self.floor, name) for name in ("root", "targets", "timestamp")}
        value = {
            "versions": self.versions,
            "keys": self.keys,
            "floor": floor,
            "root": self.root,
            "anchor": self.anchor,
        }
        return json.dumps(value, sort_keys=True).encode()


def decode(raw: bytes, build: int) -> Fence | None:
    """The fence on disk; None when it is damaged."""
    try:
        value = json.loads(raw)
        floor = Floor(build=build, **_integers(value["floor"]))
        keys = {str(role): str(print_) for role, print_ in value["keys"].items()}
        versions = _integers(value["versions"])
        return Fence(versions, keys, floor, str(value["root"]), str(value["anchor"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _integers(value: dict[str, Any]) -> dict[str, int]:
    return {str(name): int(number) for name, number in value.items()}
