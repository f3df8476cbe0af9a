"""`repo`: keys, releases, signing, sticks - the release engineer's side."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from p2pupd.api.repository import listen, serve_repository, url_of
from p2pupd.cli.options import json_option, print_json
from p2pupd.cli.results import show_results
from p2pupd.cli.rollout import rollout_lines, rollout_options
from p2pupd.cli.signing import DIRECTORY, Secrets, key_options, keys_beside, signing
from p2pupd.errors import UsageError
from p2pupd.feeds.repository import target_names
from p2pupd.model.ids import ComponentId
from p2pupd.model.release import BUILT, Dependency, InstallerKind, UpdateKind, Urgency
from p2pupd.publisher import authority, releases, stick
from p2pupd.publisher.comparing import compare
from p2pupd.publisher.intake import length_of
from p2pupd.publisher.overview import overview
from p2pupd.publisher.proof import load_proven
from p2pupd.publisher.repository import load, locate, locked, realm_of
from p2pupd.publisher.settings import DAY


def _words(kind: Iterable[StrEnum]) -> click.Choice[str]:
    """A choice by value; click would take an enum's names."""
    return click.Choice([each.value for each in kind])


FILE: Final = click.Path(path_type=Path, readable=False)
REPOSITORY: Final = click.option(
    "--repo", "repository", type=DIRECTORY, default=Path(), help="The repository (.)."
)


@click.group(epilog="Example: p2pupd repo init acme --line gateway")
def repo() -> None:
    """Keys, releases, signing, sticks: for release engineers, on their machine."""


@repo.command(epilog="Example: p2pupd repo init acme --line gateway")
@click.argument("directory", type=DIRECTORY)
@click.option("--line", "lines", multiple=True, required=True, help="Product line; repeatable.")
@click.option(
    "--threshold",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    help="Root keys that must sign a new root together.",
)
@click.option("--root-keys", type=click.IntRange(1, 16), help="Root keys to make (threshold).")
@key_options
def init(
    *,
    directory: Path,
    lines: tuple[str, ...],
    threshold: int,
    root_keys: int | None,
    keys: tuple[Path, ...],
    secrets: Secrets,
) -> None:
    """Make a repository in DIRECTORY, with new keys beside it."""
    with_what = signing(directory, keys, secrets, threshold)
    if threshold == 1:
        click.echo("warning: one root key alone decides; whoever gets it owns the fleet", err=True)
    made = authority.initialise(
        directory, lines, root_keys or threshold, with_what, secrets.sealer(with_what.settings)
    )
    click.echo(f"repository  {directory}")
    click.echo(f"anchor      {made.anchor}  (each device's /etc/p2pupd/root.json)")
    click.echo(f"realm       {realm_of(directory)}")
    click.echo(f"keys        {with_what.ring.directory}")
    click.echo("Move the root keys to separate offline media, and keep copies of all of them.")


@repo.command(
    epilog="Example: p2pupd repo add os.img --component os --version 1.0 --hardware rev-a"
)
@click.argument("image", type=FILE)
@click.option("--component", required=True, help="What is updated.")
@click.option("--version", required=True, help="Text for people; the release number decides.")
@click.option("--hardware", multiple=True, required=True, help="Hardware id; repeatable.")
@click.option("--line", help="Product line; may be left out where there is only one.")
@click.option("--release", type=click.IntRange(min=1), help="Release number (the last one and 1).")
@click.option("--kind", type=_words(UpdateKind), default="firmware")
@click.option("--installer", type=_words(BUILT), default="slots")
@click.option("--min-release", type=int, help="The stepping stone: install this one first.")
@click.option("--depends-on", multiple=True, metavar="COMPONENT[:RELEASE]", help="Repeatable.")
@click.option("--conflicts", multiple=True, metavar="COMPONENT", help="Repeatable.")
@click.option("--urgency", type=_words(Urgency), default="normal")
@click.option("--security-floor", type=int, default=0, help="Never go back below this release.")
@click.option("--rollback-to", type=int, help="Devices may return from this release to that one.")
@click.option("--rollback-from", type=int, multiple=True, help="Devices may come back from it.")
@click.option("--notes", default="", help="Release notes (ASCII).")
@rollout_options
@click.option("--raw", is_flag=True, help="Carry IMAGE as it is: no pack, no small updates.")
@REPOSITORY
@key_options
def add(
    image: Path, repository: Path, keys: tuple[Path, ...], secrets: Secrets, raw: bool, **said: Any
) -> None:
    """Take IMAGE into the repository as a release, and sign it.

    It is carried in a chunk pack: devices fetch only what they lack, compressed.
    """
    with_what = signing(repository, keys, secrets)
    length, told = length_of(image), list[str]()
    with _progress() as advance:
        added = releases.add(
            repository,
            image,
            _description(**said),
            with_what,
            lambda done: advance(image.name, length, done),
            raw=raw,
            tell=told.append,
        )
    for line in told:
        click.echo(line, err=line.startswith("warning: "))
    click.echo(f"{added.label}: {'/'.join(target_names(added))}")
    click.echo(f"{added.artifact.length} bytes, sha256 {added.artifact.sha256}")


@repo.command(epilog="Example: p2pupd repo refresh --timestamp-days 365")
@click.option(
    "--timestamp-days",
    type=click.IntRange(1, 3650),
    help="How long devices may stay without news (180).",
)
@REPOSITORY
@key_options
def refresh(
    timestamp_days: int | None, repository: Path, keys: tuple[Path, ...], secrets: Secrets
) -> None:
    """Sign a new timestamp, and whatever else expires soon."""
    lifetime = None if timestamp_days is None else timestamp_days * DAY
    signed, left = authority.refresh(repository, signing(repository, keys, secrets), lifetime)
    click.echo(f"signed {', '.join(signed)}")
    for role in left:
        expires = load(repository).role(role).signed.expires
        click.echo(
            f"warning: {role} expires on {expires:%Y-%m-%d} and its keys are not here; repeat "
            "this with --keys",
            err=True,
        )


@repo.command(epilog="Example: p2pupd repo rotate timestamp")
@click.argument("role")
@click.option("--key", "retire", metavar="KEYID", help="The key to replace (the role's oldest).")
@REPOSITORY
@key_options
def rotate(
    role: str, retire: str | None, repository: Path, keys: tuple[Path, ...], secrets: Secrets
) -> None:
    """Replace a key of ROLE: root, targets, snapshot, timestamp or a product line."""
    with_what = signing(repository, keys, secrets)
    old, new = authority.rotate(
        repository, role, retire, with_what, secrets.sealer(with_what.settings)
    )
    click.echo(f"{role}: key {new[:8]} replaces {old[:8]}")
    click.echo("Devices learn it with the next stick or download; their anchor stays as it is.")


@repo.command(epilog="Example: p2pupd repo show acme --against 7")
@json_option
@click.argument("path", type=FILE, required=False)
@click.option("--results", is_flag=True, help="What the stick at PATH brings home from floors.")
@click.option(
    "--against",
    "old",
    metavar="OLD",
    help="What an update from OLD brings: a release number, or a file with an image or pack.",
)
@click.option("--component", help="With --against: of which component.")
@click.option("--release", "number", type=int, help="With --against: to that one (the latest).")
@REPOSITORY
def show(
    *,
    path: Path | None,
    repository: Path,
    as_json: bool,
    old: str | None,
    component: str | None,
    number: int | None,
    results: bool,
) -> None:
    """What the repository, or the stick at PATH, holds; or what an update from OLD brings."""
    if results:
        show_results(path or Path(), as_json=as_json)
        return
    if old is None and (component is not None or number is not None):
        raise UsageError("--component and --release say which update: add --against OLD")
    place = path or repository
    if old is None:
        found, shown = overview(place, (keys_beside(place),)), _show_all
    else:
        where = load(locate(place))
        found, shown = compare(where, old, component, number), _show_update
    if as_json:
        print_json(found)
    else:
        shown(found)
    if found.get("doubt"):
        click.echo(f"warning: devices would refuse this: {found['doubt']}", err=True)


def _show_all(found: dict[str, Any]) -> None:
    click.echo(f"{found['directory']}  realm {found['realm']}")
    for role, facts in found["roles"].items():
        click.echo(
            f"  {role:<12} version {facts['version']:<4} expires {facts['expires'][:10]}  "
            f"{facts['threshold']} of {len(facts['keys'])} keys"
        )
    for each in found["releases"]:
        absent = "" if each["present"] else "  (file not here)"
        image = f" in a pack, {each['image']['length']} unpacked" if "image" in each else ""
        click.echo(
            f"{each['componentId']} {each['version']} (release {each['release']})  for "
            f"{', '.join(each['hardwareIds'])}  {each['length']} bytes{image}, installed by "
            f"{each['installer']}{absent}"
        )
        for line in rollout_lines(each.get("rollout", {})):
            click.echo(f"  {line}")


def _show_update(found: dict[str, Any]) -> None:
    beside = found["layer"] + found["messages"] + found["metadata"]
    click.echo(f"{found['release']}, for a device that has {found['against']}")
    click.echo(
        f"image       {found['image']} bytes, carried as {found['carried']} ({found['format']})"
    )
    click.echo(f"reused      {found['reused']} bytes of these")
    click.echo(
        f"fetched     {found['fetched']} bytes in pieces of {found['pieceLength']}, "
        f"{found['header']} of them the pack's header"
    )
    click.echo(f"beside      {beside} bytes of hashes, messages, metadata")
    click.echo(f"on the wire {found['wire']} bytes, {found['share']:.2%} of the image")


@repo.command(epilog="Example: p2pupd repo export /media/stick")
@click.argument("destination", metavar="STICK", type=DIRECTORY)
@click.option("--component", "components", multiple=True, help="Only this one; repeatable.")
@click.option("--all", "every", is_flag=True, help="Every release, not only what a site needs.")
@REPOSITORY
def export(destination: Path, components: tuple[str, ...], every: bool, repository: Path) -> None:
    """Write STICK/p2pupd: what devices take in when the stick is plugged in."""
    with locked(locate(repository)), _progress() as advance:
        found = load_proven(locate(repository), (keys_beside(repository),))
        wanted = stick.select(found.releases(), frozenset(components), every=every)
        written = stick.export(
            found,
            destination,
            wanted,
            lambda release, done: advance(release.label, release.artifact.length, done),
            int(time.time()),
        )
    for each in written.releases:
        click.echo(each.label)
    state = "holds all of this already" if written.unchanged else "is ready"
    click.echo(f"{destination} {state}; it can be removed once it is unmounted")


@repo.command(epilog="Example: p2pupd repo serve --listen 0.0.0.0:8000")
@click.option(
    "--listen",
    "where",
    metavar="ADDRESS:PORT",
    default="127.0.0.1:8000",
    show_default=True,
    help="Where to listen; port 0: the system chooses a free one.",
)
@REPOSITORY
def serve(where: str, repository: Path) -> None:
    """Serve metadata/ and targets/ over HTTP, read-only, until Ctrl-C.

    For trials and small sites: any web server that serves the directory does as well.
    """
    directory = locate(repository)
    with listen(where) as sock:
        click.echo(f"serving {directory} at {url_of(sock)}")
        asyncio.run(serve_repository(directory, sock, click.echo))


def _description(
    *,
    hardware: tuple[str, ...],
    depends_on: tuple[str, ...],
    kind: str,
    installer: str,
    urgency: str,
    **said: Any,
) -> releases.Description:
    return releases.Description(
        **said,
        hardware_ids=hardware,
        depends_on=tuple(map(_dependency, depends_on)),
        kind=UpdateKind(kind),
        installer=InstallerKind(installer),
        urgency=Urgency(urgency),
    )


def _dependency(text: str) -> Dependency:
    component, _, least = text.partition(":")
    if not (least or "0").isdecimal():
        raise UsageError(f"--depends-on {text}: write COMPONENT or COMPONENT:RELEASE")
    return Dependency(ComponentId(component), int(least or "0"))


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal: call with a name, the bytes in all and the bytes done.

    Nothing is drawn before the first call: redrawing would wipe out a passphrase's prompt.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    tasks: dict[str, Any] = {}

    def advance(name: str, length: int, done: int) -> None:
        if not tasks:
            bar.start()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=length)
        bar.update(tasks[name], completed=done)

    try:
        yield advance
    finally:
        if tasks:
            bar.stop()
