"""What can be set about asking neighbours for their manifests."""

from dataclasses import dataclass

from p2pupd.model.setting import Bytes, Seconds, at_least, setting


@dataclass(frozen=True, slots=True)
class NeighbourFeedSettings:
    """Neighbours as a source of releases."""

    connect_timeout: Seconds = setting(
        Seconds(2), "A neighbour must accept a connection within this time.", check=at_least(0.1)
    )
    answer_timeout: Seconds = setting(
        Seconds(5), "A hello or notify must be answered within this time.", check=at_least(0.1)
    )
    bundle_timeout: Seconds = setting(
        Seconds(20), "A manifest bundle must arrive within this time.", check=at_least(0.1)
    )
    content_stall: Seconds = setting(
        Seconds(10),
        "A neighbour that sends nothing of an artifact for so long is given up.",
        check=at_least(0.1),
    )
    content_rate: Bytes = setting(
        Bytes(4 * 1024),
        "Bytes per second below which, on average, a part of an artifact is given up.",
        check=at_least(1),
    )
    bundles_at_once: int = setting(
        4, "Different manifests fetched at the same time at most.", check=at_least(1)
    )
    bundle_rate: float = setting(
        0.2, "Bundles per second taken from one neighbour, in the long run.", check=at_least(0.001)
    )
    bundle_burst: int = setting(
        5, "Bundles taken from one neighbour one after another.", check=at_least(1)
    )
    again_after: Seconds = setting(
        Seconds(600),
        "A manifest that was offered and not accepted is fetched again after this; the time "
        "doubles with every repeat, up to 64 times.",
        check=at_least(1),
    )
    remembered: int = setting(
        256, "Manifests remembered as offered before, at most.", check=at_least(1)
    )
    notifies_at_once: int = setting(
        16, "Neighbours told of a new manifest at the same time at most.", check=at_least(1)
    )
