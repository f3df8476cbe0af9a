"""`tuf-client`: the device's verifier behind the interface of the public TUF conformance suite.

The only place where the verifier's bytes come over HTTP, one file after the other, as plain TUF
clients work. It exits 0 or 1 and with nothing else.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from p2pupd import __version__
from p2pupd.errors import FetchError, UpdateError
from p2pupd.trust.directory import MetadataDirectory
from p2pupd.trust.settings import TrustSettings

TIMEOUT_SECONDS: Final = 30
CHUNK_BYTES: Final = 64 * 1024
FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class _Options:
    metadata_dir: Path
    metadata_url: str | None
    target_name: str | None
    target_base_url: str | None
    target_dir: Path | None

    @property
    def directory(self) -> MetadataDirectory:
        return MetadataDirectory(self.metadata_dir, TrustSettings())


class _ZeroOrOne(click.Group):
    """Whatever goes wrong, wrong usage too, exits 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _exit_one():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _exit_one():
            return super().invoke(ctx)


@click.group(
    cls=_ZeroOrOne,
    name="tuf-client",
    epilog="Example: p2pupd tuf-client --metadata-dir D --metadata-url http://HOST/ refresh",
)
@click.option("--metadata-dir", type=click.Path(path_type=Path), required=True)
@click.option("--metadata-url", metavar="URL", help="Where the repository's metadata is.")
@click.option("--target-name", metavar="PATH", help="The target to download.")
@click.option("--target-base-url", metavar="URL", help="Where the repository's targets are.")
@click.option("--target-dir", type=click.Path(path_type=Path), help="Where to keep downloads.")
@click.pass_context
def tuf_client(ctx: click.Context, /, **options: Any) -> None:
    """The verifier, for test suites: exits 0 when all went well, else 1."""
    ctx.obj = _Options(**options)


@tuf_client.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.pass_obj
def init(options: _Options, root: Path) -> None:
    """Trust the root metadata in the file ROOT."""
    options.directory.start(root)


@tuf_client.command()
@click.pass_obj
def refresh(options: _Options) -> None:
    """Bring the metadata up to date."""
    if options.metadata_url is None:
        raise click.UsageError("refresh needs --metadata-url")
    options.directory.refresh(options.metadata_url, _get, time.time())


@tuf_client.command()
@click.pass_obj
def download(options: _Options) -> None:
    """Bring the metadata up to date, then one target."""
    url, target, base = options.metadata_url, options.target_name, options.target_base_url
    if url is None or target is None or base is None or options.target_dir is None:
        raise click.UsageError(
            "download needs --metadata-url, --target-name, --target-base-url and --target-dir"
        )
    options.directory.download(
        url, _get, time.time(), target=target, base=base, to=options.target_dir
    )


@contextmanager
def _exit_one() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        click.echo(f"p2pupd: {error.format_message()}", err=True)
        raise click.exceptions.Exit(FAILED) from error
    except UpdateError as error:
        click.echo(f"p2pupd: {error}", err=True)
        raise click.exceptions.Exit(FAILED) from error


def _get(url: str) -> tuple[int, Iterable[bytes]]:
    """HTTP status and content of `url`. Raises FetchError."""
    if not url.startswith(("http://", "https://")):
        raise FetchError(f"{url[:80]} is not an HTTP address")
    request = urllib.request.Request(url, headers={"User-Agent": f"p2pupd/{__version__}"})  # noqa: S310 - the scheme was checked
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - same
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ()
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"cannot fetch {url}: {error}") from error
    return response.status, _chunks(url, response)


def _chunks(url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
    with response:
        try:
            while chunk := response.read(CHUNK_BYTES):
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"cannot fetch {url}: {error}") from error
