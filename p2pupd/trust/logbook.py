"""Lines of history: signed by their device, believed about that device and nothing else."""

from typing import Final

from p2pupd.errors import ProtocolError, RecordError
from p2pupd.model.ids import Realm
from p2pupd.model.logbook import Logbook
from p2pupd.trust.envelope import OVERHEAD, Envelope, seal
from p2pupd.trust.identity import Identity, device_id
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
    if envelope.type != PAYLOAD_TYPE:
        raise RecordError(f"{envelope.type!r} is no lines of history", reason="malformed")
    device = device_id(envelope.key)
    try:
        book = wire.decode(envelope.payload, device)
    except ProtocolError as error:
        raise RecordError(f"the lines of {device} are malformed: {error}") from error
    if book.realm != realm:
        raise RecordError(f"{device} is of realm {book.realm}", reason="other-realm")
    return book
