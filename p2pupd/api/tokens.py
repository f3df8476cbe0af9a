"""Who proves to be an operator over TCP: the token, tries that failed, and a browser's session."""

import hashlib
import hmac
import os
import secrets
import stat
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pupd.core.token_bucket import TokenBucket
from p2pupd.errors import ConfigError, UpdateError
from p2pupd.host.files import read_bounded

SHORTEST: Final = 32
LONGEST: Final = 256
"""Characters of a token: printable ASCII without spaces."""
TRIES: Final = 5
SECONDS_A_TRY: Final = 10.0
"""So many wrong tokens of one address at once, then one in so many seconds."""
ADDRESSES: Final = 1024
SESSIONS: Final = 64
IDLE: Final = 8 * 3600.0
"""Seconds after which an idle session is over."""


def read_token(path: Path) -> str:
    """The token in the file. Blocks. Raises ConfigError: missing, too open, too short."""
    hint = "make one by `(umask 077; openssl rand -hex 32 >" + f" {path})`"
    try:
        facts = os.stat(path)
        raw = read_bounded(path, LONGEST + 2)
    except (OSError, UpdateError) as error:
        raise ConfigError(f"control.token_file: cannot read {path}: {error}; {hint}") from error
    if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o027 or facts.st_uid not in _owners():
        raise ConfigError(
            f"control.token_file: {path} must be a file of root or of the daemon's user that "
            f"others can neither read nor write: `chmod 600 {path}`"
        )
    token = raw.decode("ascii", "replace").strip()
    good = token.isascii() and token.isprintable() and " " not in token
    if not good or not SHORTEST <= len(token) <= LONGEST:
        raise ConfigError(
            f"control.token_file: {path} must hold one line of {SHORTEST} to {LONGEST} printable "
            f"ASCII characters without spaces; {hint}"
        )
    return token


def _owners() -> tuple[int, int]:
    return 0, os.geteuid()


class Token:
    """Compares in constant time, and not at all for who has failed too often."""

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._digest = _digest(token)
        self._clock = clock
        self._failed: OrderedDict[str, TokenBucket] = OrderedDict()

    def wait(self, address: str) -> int:
        """Seconds for which nothing is compared for that address; 0: it may try."""
        bucket = self._failed.get(address)
        wait = bucket.wait(self._clock()) if bucket else 0.0
        return int(wait) + 1 if wait > 0 else 0

    def proves(self, said: str, address: str) -> bool:
        """Whether it is the token. A wrong one counts against the address."""
        if hmac.compare_digest(_digest(said), self._digest):
            self._failed.pop(address, None)
            return True
        bucket = self._failed.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(1 / SECONDS_A_TRY, TRIES, self._clock())
        bucket.take(self._clock())
        self._failed[address] = bucket
        if len(self._failed) > ADDRESSES:
            self._failed.popitem(last=False)
        return False


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class Session:
    """A signed-in browser. `form` is what its forms must carry, `said` what its last act led to
    (true: as wanted), shown once."""

    name: str
    form: str
    used: float
    said: tuple[bool, str] | None = None


class Sessions:
    """Kept in memory: a restart signs everybody out. Of too many the longest idle one ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds and never goes back."""
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self) -> Session:
        """A new one."""
        made = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._clock())
        self._open[made.name] = made
        if len(self._open) > SESSIONS:
            self._open.popitem(last=False)
        return made

    def find(self, name: str) -> Session | None:
        """The session of that name, if it is not over."""
        found = self._open.pop(name, None)
        if found is None or self._clock() - found.used > IDLE:
            return None
        found.used = self._clock()
        self._open[name] = found
        return found

    def end(self, session: Session) -> None:
        """Sign out."""
        self._open.pop(session.name, None)
