"""Payload for tests: real bytes with the artifact that a signer would have named for them."""

import hashlib
import random

from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact

PIECE = 1 << 14


def payload(length: int, seed: int = 1) -> bytes:
    """The same bytes for the same arguments."""
    return random.Random(seed).randbytes(length)


def artifact_of(content: bytes) -> Artifact:
    """As signed, but for the pieces root, which is a stand-in: the store does not check it."""
    digest = hashlib.sha256(content).hexdigest()
    root = hashlib.sha256(digest.encode()).hexdigest()
    return Artifact(len(content), Sha256(digest), Sha256(root), PIECE)
