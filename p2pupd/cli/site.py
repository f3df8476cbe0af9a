"""`site`: the operator's key, and orders that every device of the site obeys."""

import base64
import functools
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from p2pupd.api.control_client import ControlClient
from p2pupd.cli.options import Duration, device_options
from p2pupd.cli.signing import DIRECTORY, Secrets, passphrase_options
from p2pupd.config.structure import byte_count
from p2pupd.errors import UsageError
from p2pupd.host.files import read_bounded, write_durably
from p2pupd.model.ids import COMPONENT_PATTERN, Realm
from p2pupd.model.orders import OrderKind
from p2pupd.publisher.keys import KeyRing
from p2pupd.publisher.settings import PublisherSettings
from p2pupd.site import authority
from p2pupd.trust.orders import MAX_BYTES
from p2pupd.wire.messages import DEVICE_PATTERN
from p2pupd.wire.orders import LONGEST_SILENCE, SHORTEST_SILENCE

R = TypeVar("R")
FILE: Final = click.Path(path_type=Path, dir_okay=False, readable=False)
ANCHOR: Final = Path("/etc/p2pupd/root.json")
ANCHOR_LIMIT: Final = 64 * 1024
USUAL_DIRECTORY: Final = Path("operator")


@click.group(epilog="Example: p2pupd site hold 7")
def site() -> None:
    """Orders to all devices of a site: for its operator, from any of them."""


class _Desk:
    """Signs orders, and hands them to the daemon or puts them into a file."""

    def __init__(
        self,
        directory: Path,
        out: Path | None,
        secrets: Secrets,
        client_of: Callable[[], ControlClient],
    ) -> None:
        self._directory = directory
        self._out = out
        self._secrets = secrets
        self._client_of = client_of

    def give(self, kind: OrderKind, **about: Any) -> None:
        """Sign the order, and hand it over."""
        ring = KeyRing((self._directory,), self._secrets.ask())
        order, raw = authority.order(self._directory, ring, kind, time.time(), **about)
        if self._out is None:
            click.echo(_send(self._client_of(), raw))
            return
        write_durably(self._out, raw)
        click.echo(f"{order.label}: {self._out}; hand it to any device by `p2pupd site send`")

    def client(self, instead: str) -> ControlClient:
        """Whom to ask what is meant; where nobody is to be asked, `instead` must be said."""
        if self._out is not None:
            raise UsageError(f"--out needs {instead}: no daemon is asked what is meant")
        return self._client_of()


def _order_options(command: Callable[..., R]) -> Callable[..., R]:
    """The options of all orders; the command gets `desk`."""

    @click.option(
        "--operator",
        type=DIRECTORY,
        default=USUAL_DIRECTORY,
        help="The directory that `site init` made (operator).",
    )
    @click.option("--out", type=FILE, help="Write the order to a file, for `site send`.")
    @passphrase_options
    @device_options
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        operator: Path,
        out: Path | None,
        secrets: Secrets,
        client_of: Callable[[], ControlClient],
        **others: Any,
    ) -> R:
        return command(*args, desk=_Desk(operator, out, secrets, client_of), **others)

    return wrapper


@site.command(epilog="Example: p2pupd site init operator --anchor acme/metadata/1.root.json")
@click.argument("directory", type=DIRECTORY, default=USUAL_DIRECTORY)
@click.option("--name", default="", help="The site's name, as in the devices' fleet.site.")
@click.option("--anchor", type=FILE, default=ANCHOR, help="The devices' root.json.")
@passphrase_options
def init(directory: Path, name: str, anchor: Path, secrets: Secrets) -> None:
    """Make an operator's key in DIRECTORY."""
    raw = read_bounded(anchor, ANCHOR_LIMIT)
    realm = Realm(hashlib.sha256(raw).hexdigest()[:16])
    sealer = secrets.sealer(PublisherSettings())
    made = authority.initialise(directory, realm, name, sealer, int(time.time()))
    click.echo(f"operator  {directory}  (realm {made.realm}, site {made.site or 'without a name'})")
    click.echo("Let every device of the site obey it, in its config.toml:")
    click.echo(f'[site]\noperators = ["{made.public}"]')


def _about_release(kind: OrderKind, text: str, example: str) -> click.Command:
    """A command that gives an order about a release."""

    @_order_options
    @click.argument("release", type=click.IntRange(min=1))
    @click.option("--component", help="Needed where several components have that release.")
    def command(release: int, component: str | None, desk: _Desk) -> None:
        if component is not None and COMPONENT_PATTERN.fullmatch(component) is None:
            raise UsageError(f"{component!r} cannot be a component")
        component = component or _component(desk.client("--component"), release)
        desk.give(kind, component=component, release=release)

    return click.command(str(kind), help=text, epilog=f"Example: {example}")(command)


site.add_command(
    _about_release(
        OrderKind.HOLD,
        "Nobody begins to install RELEASE. Whoever installs it already goes on.",
        "p2pupd site hold 7",
    )
)
site.add_command(
    _about_release(
        OrderKind.RESUME,
        "End a hold or a halt of RELEASE. What failed until now is forgiven; later failures halt "
        "it again.",
        "p2pupd site resume 7",
    )
)
site.add_command(
    _about_release(
        OrderKind.APPROVE,
        "Consent to RELEASE for every device that asks for consent.",
        "p2pupd site approve 7",
    )
)


@site.command(epilog="Example: p2pupd site retire bqa4tze…")
@click.argument("device", required=False)
@click.option("--undo", is_flag=True, help="Let it take part again.")
@click.option(
    "--silent",
    type=Duration(),
    metavar="TIME",
    help="Instead: nobody waits for those that have given no sign of life for so long (12h, at "
    "least 1h), until each is heard again.",
)
@_order_options
def retire(device: str | None, undo: bool, silent: float | None, desk: _Desk) -> None:
    """Take DEVICE out of rollouts: no wave waits for it, and it installs nothing by itself."""
    if (device is None) is (silent is None) or (undo and silent is not None):
        raise UsageError("name a DEVICE, or how long devices were --silent (they come back alone)")
    if silent is not None:
        if not SHORTEST_SILENCE <= silent <= LONGEST_SILENCE:
            raise UsageError("--silent must be between 1h and 10 years")
        desk.give(OrderKind.WRITE_OFF, value=int(silent))
        return
    assert device is not None
    if DEVICE_PATTERN.fullmatch(device) is None:
        device = _device(desk.client("the whole id"), device)
    desk.give(OrderKind.RETIRE, device=device, value=0 if undo else 1)


@site.command("seed-cap", epilog="Example: p2pupd site seed-cap 20M")
@click.argument("rate")
@_order_options
def seed_cap(rate: str, desk: _Desk) -> None:
    """All seeds together send RATE bytes per second at most, 0 for any."""
    try:
        limit = byte_count(rate)
    except ValueError as error:
        raise UsageError(f"the rate {error}") from None
    desk.give(OrderKind.SEED_CAP, value=limit)


@site.command(epilog="Example: p2pupd site send hold-7.order")
@click.argument("file", type=FILE)
@device_options
def send(file: Path, client_of: Callable[[], ControlClient]) -> None:
    """Hand an order that was written by --out to this device."""
    click.echo(_send(client_of(), read_bounded(file, MAX_BYTES)))


def _send(client: ControlClient, raw: bytes) -> str:
    return str(client.post("/v1/order", {"order": base64.b64encode(raw).decode()})["said"])


def _component(client: ControlClient, release: int) -> str:
    manifest = client.get("/v1/status")["manifest"] or {"releases": []}
    found = sorted({e["component"] for e in manifest["releases"] if e["release"] == release})
    if len(found) != 1:
        known = f"the components {', '.join(found)} have" if found else "no component here has"
        raise UsageError(f"{known} a release {release}; name the one you mean by --component")
    return str(found[0])


def _device(client: ControlClient, prefix: str) -> str:
    found = [each["id"] for each in client.get("/v1/fleet") if each["id"].startswith(prefix)]
    if len(found) != 1:
        many = "several devices" if found else "no device that was heard of here"
        raise UsageError(
            f"{prefix!r} is the beginning of {many}; `p2pupd fleet --json` has all ids"
        )
    return str(found[0])
