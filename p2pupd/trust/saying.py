"""What a device says under its own key: believed about that device and nothing else."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from p2pupd.errors import ProtocolError, RecordError
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.trust.envelope import Envelope
from p2pupd.trust.identity import device_id


class Saying(Protocol):
    """It names the realm that it is for."""

    @property
    def realm(self) -> Realm: ...


S = TypeVar("S", bound=Saying)


def said(
    envelope: Envelope,
    realm: Realm,
    payload_type: str,
    decode: Callable[[bytes, DeviceId], S],
    *,
    kind: str,
    wrong: str,
) -> S:
    """What is in a message whose signature is right. `kind` says in errors what it is, and
    `wrong`, with the device put in, that it is malformed.

    Raises RecordError with reason `malformed` or `other-realm`.
    """
    if envelope.type != payload_type:
        raise RecordError(f"{envelope.type!r} is no {kind}", reason="malformed")
    device = device_id(envelope.key)
    try:
        found = decode(envelope.payload, device)
    except ProtocolError as error:
        raise RecordError(f"{wrong.format(device)}: {error}") from error
    if found.realm != realm:
        raise RecordError(f"{device} is of realm {found.realm}", reason="other-realm")
    return found
