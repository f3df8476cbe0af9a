"""Settings of the publisher: how long signatures hold, and how hard key files are to open."""

from dataclasses import dataclass

from nacl.pwhash import argon2id

from p2pupd.model.setting import Bytes, Seconds, at_least, setting

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """Lifetimes count from the signature."""

    threshold: int = setting(2, "Root keys that must sign together", check=at_least(1))
    root_lifetime: Seconds = setting(Seconds(5 * 365 * DAY), "How long root metadata holds")
    targets_lifetime: Seconds = setting(
        Seconds(2 * 365 * DAY), "How long targets metadata and product lines hold"
    )
    snapshot_lifetime: Seconds = setting(Seconds(365 * DAY), "How long a snapshot holds")
    timestamp_lifetime: Seconds = setting(
        Seconds(180 * DAY), "How long a timestamp holds: how long a device may stay without news"
    )
    clock_slack: Seconds = setting(
        Seconds(3600.0), "How far this machine's clock may lie behind what was signed before"
    )
    kdf_operations: int = setting(
        argon2id.OPSLIMIT_MODERATE, "Passes of Argon2id over a passphrase", check=at_least(1)
    )
    kdf_memory: Bytes = setting(
        Bytes(argon2id.MEMLIMIT_MODERATE), "Memory of Argon2id", check=at_least(8192)
    )
