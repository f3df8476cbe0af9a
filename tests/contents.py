"""Payload for tests: real bytes with the artifact that a signer would have named for them."""

import hashlib
import random

from p2pupd.core.merkle import PiecesRoot
from p2pupd.core.piece_layer import LayerBuilder
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact

PIECE = 1 << 14


def payload(length: int, seed: int = 1) -> bytes:
    """The same bytes for the same arguments."""
    return random.Random(seed).randbytes(length)


def artifact_of(content: bytes) -> Artifact:
    """As a signer measures it, with pieces of 16 KiB."""
    digest = hashlib.sha256(content).hexdigest()
    root = PiecesRoot()
    root.update(content or b"\0")
    return Artifact(len(content), Sha256(digest), Sha256(root.digest().hex()), PIECE)


def layer_of(content: bytes) -> bytes:
    """The encoded piece layer of that artifact."""
    builder = LayerBuilder(PIECE)
    builder.update(content)
    return builder.layer()
