"""Is it this device's turn to install? Decided from what its owner allows; no server is asked."""

from dataclasses import dataclass

from p2pupd.model.release import Release, Urgency


@dataclass(frozen=True, slots=True)
class Gate:
    """A closed gate: stable slug and a sentence."""

    reason: str
    detail: str


def closed_gate(
    release: Release, *, copying: bool, consent_required: bool, approved: frozenset[int]
) -> Gate | None:
    """The gate that holds `release` back, or None when it may be installed now.

    `copying`: a stick is being copied here for others, which the restart would cut short.
    `approved` are the release numbers that the operator allowed. An emergency waits for nobody.
    """
    if release.urgency is Urgency.EMERGENCY:
        return None
    if copying:
        return Gate("copying", "waits until the stick in this device has been copied")
    if not consent_required or release.release in approved:
        return None
    return Gate("consent", f"waits for `p2pupd approve {release.release}`")
