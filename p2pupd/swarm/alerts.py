"""libtorrent's alerts as our own frozen values: no foreign object leaves this file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import libtorrent as lt

MASK: Final = (
    lt.alert_category.status
    | lt.alert_category.error
    | lt.alert_category.storage
    | lt.alert_category.peer
)
SYSTEM_CATEGORIES: Final = frozenset({"system", "generic"})


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that the session reports."""


@dataclass(frozen=True, slots=True)
class ListenFailed(Alert):
    message: str


@dataclass(frozen=True, slots=True)
class AlertsLost(Alert):
    """The session's queue was full; what was in them is unknown."""


@dataclass(frozen=True, slots=True)
class TorrentAlert(Alert):
    """About the torrent whose pieces root, in hex, is `root`."""

    root: str


@dataclass(frozen=True, slots=True)
class Checked(TorrentAlert):
    """What was on disk has been looked through."""


@dataclass(frozen=True, slots=True)
class Finished(TorrentAlert):
    """Every piece has passed its hash check; not all need be on disk yet."""


@dataclass(frozen=True, slots=True)
class Flushed(TorrentAlert):
    """Everything that was waiting to be written has been handed to the system."""


@dataclass(frozen=True, slots=True)
class Removed(TorrentAlert):
    """Nothing more comes from this torrent."""


@dataclass(frozen=True, slots=True)
class PieceRefused(TorrentAlert):
    """A piece arrived whole and was not what the signed root says."""


@dataclass(frozen=True, slots=True)
class ResumeData(TorrentAlert):
    content: bytes


@dataclass(frozen=True, slots=True)
class ResumeRefused(TorrentAlert):
    message: str


@dataclass(frozen=True, slots=True)
class DiskFailed(TorrentAlert):
    """Reading or writing failed. `errno` is 0 where it was no system call that failed."""

    errno: int
    message: str


@dataclass(frozen=True, slots=True)
class PeerBanned(TorrentAlert):
    """libtorrent will not talk to `host` any more: it sent wrong blocks."""

    host: str


@dataclass(frozen=True, slots=True)
class UnwantedBlock(TorrentAlert):
    host: str


@dataclass(frozen=True, slots=True)
class TorrentState(TorrentAlert):
    """Counters since the torrent was added; bytes, and bytes per second for `rate`."""

    complete: bool = False
    done: int = 0
    pieces: int = 0
    received: int = 0
    sent: int = 0
    redundant: int = 0
    failed: int = 0
    peers: int = 0
    rate: int = 0


def _state(status: lt.torrent_status) -> TorrentState:
    return TorrentState(
        status.name,
        complete=status.is_seeding,
        done=status.total_done,
        pieces=status.num_pieces,
        received=status.total_payload_download,
        sent=status.total_payload_upload,
        redundant=status.total_redundant_bytes,
        failed=status.total_failed_bytes,
        peers=status.num_peers,
        rate=status.download_payload_rate,
    )


def _errno(error: lt.error_code) -> int:
    return error.value() if error.category().name() in SYSTEM_CATEGORIES else 0


TRANSLATION: Final[dict[type[lt.alert], Callable[[Any], Alert]]] = {
    lt.listen_failed_alert: lambda raw: ListenFailed(raw.message()),
    lt.alerts_dropped_alert: lambda _raw: AlertsLost(),
    lt.torrent_checked_alert: lambda raw: Checked(raw.torrent_name),
    lt.torrent_finished_alert: lambda raw: Finished(raw.torrent_name),
    lt.cache_flushed_alert: lambda raw: Flushed(raw.torrent_name),
    lt.torrent_removed_alert: lambda raw: Removed(raw.torrent_name),
    lt.hash_failed_alert: lambda raw: PieceRefused(raw.torrent_name),
    lt.save_resume_data_alert: lambda raw: ResumeData(
        raw.torrent_name, lt.write_resume_data_buf(raw.params)
    ),
    lt.save_resume_data_failed_alert: lambda raw: ResumeRefused(raw.torrent_name, raw.message()),
    lt.file_error_alert: lambda raw: DiskFailed(
        raw.torrent_name, _errno(raw.error), raw.error.message()
    ),
    lt.torrent_error_alert: lambda raw: DiskFailed(
        raw.torrent_name, _errno(raw.error), raw.error.message()
    ),
    lt.peer_ban_alert: lambda raw: PeerBanned(raw.torrent_name, raw.endpoint[0]),
    lt.unwanted_block_alert: lambda raw: UnwantedBlock(raw.torrent_name, raw.endpoint[0]),
}


def pop(session: lt.session) -> Iterator[Alert]:
    """Everything that waits in the session's queue, oldest first; what we do not use is left out.

    The queue's memory is valid only until the next call, so all of it is translated at once.
    """
    translated: list[Alert] = []
    for raw in session.pop_alerts():
        if isinstance(raw, lt.state_update_alert):
            translated += [_state(status) for status in raw.status]
        elif translate := TRANSLATION.get(type(raw)):
            translated.append(translate(raw))
    return iter(translated)
