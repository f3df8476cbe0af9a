"""Results on a stick: `p2pupd-results/REALM/DEVICE.results`, beside the repository, never in it.

Each device that writes has a file of its own, replaced as a whole, so several devices can write to
one stick in turn and a stick that is pulled too early keeps what it had.
"""

import errno
import os
from pathlib import Path
from typing import Final

from p2pupd.errors import HostError, NothingToDo, SourceGone, SpaceError, UnsafeMedia
from p2pupd.feeds.repository import ON_STICK
from p2pupd.host import beneath
from p2pupd.host.files import GONE_ERRNOS, host_error
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.wire.messages import REALM_PATTERN

DIRECTORY: Final = "p2pupd-results"
SUFFIX: Final = ".results"
LEFT_FREE: Final = 1024 * 1024
"""Bytes of a stick that are never used."""
MAX_FILES: Final = 1024
"""Devices that write to one stick, at most."""
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def write_results(path: Path, realm: Realm, device: DeviceId, raw: bytes) -> None:
    """Replace this device's results on the stick at `path`. Blocks.

    Raises HostError with reason `read-only` where it may not write, SpaceError before anything is
    written, UnsafeMedia where there is a link in the way, SourceGone when the stick was pulled.
    """
    name = device + SUFFIX
    try:
        with beneath.opened(path) as top:
            with beneath.entered(top, ON_STICK):
                facts = os.fstatvfs(top)
            if facts.f_bavail * facts.f_frsize < len(raw) + LEFT_FREE:
                raise SpaceError(f"{path} has no room for {len(raw)} bytes of results")
            with beneath.descended(top, (DIRECTORY, realm), create=True) as directory:
                there = os.listdir(directory)
                if len(there) >= MAX_FILES and name not in there:
                    raise SpaceError(f"{path} has results of {MAX_FILES} devices already")
                beneath.write_file(directory, name, [raw])
    except OSError as error:
        if error.errno in READ_ONLY:
            raise HostError(f"{path} cannot be written: {error}", reason="read-only") from error
        if error.errno in GONE_ERRNOS or isinstance(error, FileNotFoundError):
            raise SourceGone(f"{path} was removed while it was written: {error}") from error
        raise host_error(error, f"write results to {path}") from error


def read_results(path: Path, max_bytes: int) -> list[tuple[Realm, bytes]]:
    """(realm, file) of all that is on the stick at `path`, nothing believed. Blocks.

    What is no plain file within `max_bytes` is left out. Raises UnsafeMedia, HostError, and
    NothingToDo where there are no results.
    """
    found: list[tuple[Realm, bytes]] = []
    try:
        with beneath.opened(path) as top, beneath.entered(top, DIRECTORY) as results:
            for realm in sorted(filter(REALM_PATTERN.fullmatch, os.listdir(results)))[:MAX_FILES]:
                with beneath.entered(results, realm) as directory:
                    names = [each for each in os.listdir(directory) if each.endswith(SUFFIX)]
                    for name in sorted(names)[:MAX_FILES]:
                        raw = _read(directory, name, max_bytes)
                        if raw is not None:
                            found.append((Realm(realm), raw))
    except FileNotFoundError as error:
        raise NothingToDo(f"there are no results on {path}", reason="no-results") from error
    except OSError as error:
        raise host_error(error, f"read results from {path}") from error
    return found


def _read(directory: int, name: str, max_bytes: int) -> bytes | None:
    try:
        fd = beneath.open_file(directory, name)
    except UnsafeMedia:
        return None
    with open(fd, "rb") as file:
        raw = file.read(max_bytes + 1)
    return raw if len(raw) <= max_bytes else None
