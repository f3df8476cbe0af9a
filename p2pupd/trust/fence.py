"""The version fence: nothing older than what was once accepted, unless its keys have rotated.

The versions of every role are remembered beside the keys that vouched for them. When a role's keys
change in a root that the old root signed, what the old keys said is void, so that versions pushed
up by a thief do not lock the fleet out (TUF specification 5.3.11, recovery from fast-forward).
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tuf.api.metadata import Root

from p2pupd.errors import DowngradeError
from p2pupd.trust.freshness import Floor

TOP_ROLES: Final = ("root", "timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True)
class Fence:
    """`versions` by role name, `keys` a fingerprint of each top-level role's keys."""

    versions: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    floor: Floor = field(default_factory=Floor)

    def under(self, root: Root) -> "Fence":
        """What remains of this fence now that `root` (verified) says which keys count."""
        changed = {role for role in TOP_ROLES if self._rotated(root, role)}
        void: set[str] = set()
        if changed & {"timestamp", "snapshot"}:
            void |= {"timestamp", "snapshot"}
        if changed & {"snapshot", "targets"}:
            void |= {role for role in self.versions if role not in TOP_ROLES} | {"targets"}
        floor = self.floor
        if "timestamp" in changed:
            floor = replace(floor, timestamp=0)
        if "targets" in changed:
            floor = replace(floor, targets=0)
        left = {role: version for role, version in self.versions.items() if role not in void}
        return Fence(left, self.keys, floor)

    def check(self, versions: dict[str, int]) -> None:
        """Raises DowngradeError naming the first role that is older than accepted before."""
        for role, version in versions.items():
            accepted = self.versions.get(role, 0)
            if version < accepted:
                raise DowngradeError(
                    f"{role} version {version} is older than version {accepted}, which this "
                    "device has already accepted; get a current stick"
                )

    def _rotated(self, root: Root, role: str) -> bool:
        known = self.keys.get(role)
        return known is not None and known != fingerprint(root, role)

    def encode(self) -> bytes:
        """As kept on disk: JSON."""
        floor = {name: getattr(self.floor, name) for name in ("root", "targets", "timestamp")}
        value = {"versions": self.versions, "keys": self.keys, "floor": floor}
        return json.dumps(value, sort_keys=True).encode()


def decode(raw: bytes, build: int) -> Fence | None:
    """The fence on disk; None when it is damaged."""
    try:
        value = json.loads(raw)
        floor = Floor(build=build, **_integers(value["floor"]))
        keys = {str(role): str(print_) for role, print_ in value["keys"].items()}
        return Fence(_integers(value["versions"]), keys, floor)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def fingerprint(root: Root, role: str) -> str:
    """Changes whenever the keys or the threshold of a role do."""
    entry = root.roles[role]
    publics = sorted(root.keys[keyid].keyval.get("public", keyid) for keyid in entry.keyids)
    return f"{entry.threshold}:{','.join(publics)}"


def _integers(value: dict[str, Any]) -> dict[str, int]:
    return {str(name): int(number) for name, number in value.items()}
