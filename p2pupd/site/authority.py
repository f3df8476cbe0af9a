"""An operator: one key, for one site of one realm, and the number of the last order.

`DIRECTORY/site.json` holds what is no secret, `DIRECTORY/operator-XXXXXXXX.key` the key. The number
grows with every order and is written down before an order is signed, so no number is used twice.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError, UsageError
from p2pupd.host.files import make_directory, read_bounded, write_durably
from p2pupd.model.ids import ComponentId, DeviceId, Realm
from p2pupd.model.orders import Order, OrderKind
from p2pupd.publisher.keys import KeyRing, Sealer, create
from p2pupd.trust.orders import OPERATOR_PATTERN, sign
from p2pupd.wire.messages import REALM_PATTERN
from p2pupd.wire.records import NAME_BYTES

FILE: Final = "site.json"
FILE_LIMIT: Final = 4096
FORMAT: Final = 1
ROLE: Final = "operator"


@dataclass(frozen=True, slots=True)
class Operator:
    """`public` are the 64 hex digits of the key that devices name in `site.operators`, `keyid`
    those by which its file is found."""

    realm: Realm
    site: str
    public: str
    keyid: str
    epoch: int = 1
    sequence: int = 0


def initialise(directory: Path, realm: Realm, site: str, sealer: Sealer, now: int) -> Operator:
    """Make an operator in `directory`, durably. Raises UsageError where there is one already."""
    if (directory / FILE).exists():
        raise UsageError(f"{directory} is an operator's already; choose another directory")
    if len(site.encode()) > NAME_BYTES or not site.isprintable():
        raise UsageError(f"a site's name is printable and has at most {NAME_BYTES} bytes")
    if REALM_PATTERN.fullmatch(realm) is None:
        raise UsageError(f"{realm!r} is no realm: 16 hex digits, as `p2pupd status` shows them")
    make_directory(directory, 0o700)
    key = create(directory, ROLE, sealer, now).public_key
    operator = Operator(realm, site, key.keyval["public"], key.keyid)
    _write(directory, operator)
    return operator


def load(directory: Path) -> Operator:
    """The operator in `directory`. Raises UsageError where there is none, HostError if damaged."""
    if not (directory / FILE).exists():
        raise UsageError(
            f"there is no operator in {directory}; make one by `p2pupd site init`, or name its "
            "directory by --operator"
        )
    try:
        said = json.loads(read_bounded(directory / FILE, FILE_LIMIT))
        if said.pop("p2pupd-site") != FORMAT:
            raise ValueError
        operator = Operator(**said)
        good = OPERATOR_PATTERN.fullmatch(operator.public) and operator.sequence >= 0
    except (ValueError, TypeError, KeyError, AttributeError):
        good = None
    if not good:
        raise HostError(f"{directory / FILE} is damaged; restore it from a backup")
    return operator


def order(
    directory: Path,
    ring: KeyRing,
    kind: OrderKind,
    now: float,
    *,
    component: str | None = None,
    release: int = 0,
    device: str | None = None,
    value: int = 1,
) -> tuple[Order, bytes]:
    """An order of the operator in `directory`, and its signed envelope; `now` is Unix seconds.

    Raises UsageError, SignatureError (passphrase), HostError or SpaceError.
    """
    operator = load(directory)
    [signer] = ring.open([operator.keyid], least=1, role=ROLE)
    operator = replace(operator, sequence=max(int(now * 1000), operator.sequence + 1))
    _write(directory, operator)
    said = Order(
        kind=kind,
        realm=operator.realm,
        site=operator.site,
        operator=operator.public,
        epoch=operator.epoch,
        sequence=operator.sequence,
        component=None if component is None else ComponentId(component),
        release=release,
        device=None if device is None else DeviceId(device),
        value=value,
    )
    return said, sign(said, signer)


def _write(directory: Path, operator: Operator) -> None:
    content = json.dumps({"p2pupd-site": FORMAT, **asdict(operator)}, indent=1)
    write_durably(directory / FILE, content.encode() + b"\n")
