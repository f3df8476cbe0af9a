"""Lines of history: signed by their device, believed about that device and nothing else."""

from typing import Final

from p2pupd.model.ids import Realm
from p2pupd.model.logbook import Logbook
from p2pupd.trust.envelope import OVERHEAD, Envelope, seal
from p2pupd.trust.identity import Identity
from p2pupd.trust.saying import said
from p2pupd.wire import logbook as wire

PAYLOAD_TYPE: Final = "application/x-p2pupd-log"
MAX_BYTES: Final = wire.MAX_BYTES + OVERHEAD
"""Longest envelope of lines of history."""


def sign(book: Logbook, identity: Identity) -> bytes:
    """The envelope of this device's own lines, as many as fit. Raises ValueError for another's."""
    if book.device != identity.id:
        raise ValueError("lines of history are signed by their device only")
    return seal(PAYLOAD_TYPE, wire.encode(wire.fitted(book)), identity.signing_key)


def verified(envelope: Envelope, realm: Realm) -> Logbook:
    """The lines in a message whose signature is right.

    Raises RecordError with reason `malformed` or `other-realm`.
    """
    kind, wrong = "lines of history", "the lines of {} are malformed"
    return said(envelope, realm, PAYLOAD_TYPE, wire.decode, kind=kind, wrong=wrong)
