import asyncio
from pathlib import Path

import pytest

from p2pupd.errors import FetchError, SpaceError
from p2pupd.model.device import ByteCounts, TransferProgress
from p2pupd.swarm.alerts import DiskFailed, Finished, ResumeData, ResumeRefused, TorrentState
from p2pupd.swarm.hostility import StallWatch
from p2pupd.swarm.interface import Injected
from p2pupd.swarm.ledger import attributed
from p2pupd.swarm.transfer import Transfer
from tests.builders import a_release

ROOT = a_release().artifact.pieces_root


def a_transfer() -> Transfer:
    watch = StallWatch(patience=10, now=0)
    return Transfer(a_release().artifact, Path("/nowhere"), ByteCounts(received=5, sent=7), watch)


async def test_counts_go_on_after_a_new_start_and_wasted_bytes_are_not_kept_ones() -> None:
    transfer = a_transfer()
    state = TorrentState(ROOT, received=100, sent=10, redundant=20, failed=30)
    transfer.receive(state)
    expected = ByteCounts(lan=55, received=55, sent=17, wasted=50)
    assert transfer.counts == expected
    transfer.start_over()
    assert transfer.counts == expected
    transfer.receive(state)
    assert transfer.counts == ByteCounts(lan=105, received=105, sent=27, wasted=100)


def test_sources_sum_to_what_is_there() -> None:
    injected = {Injected.USB: 30, Injected.UPLINK: 50, Injected.LAN: 7}
    assert attributed(100, injected) == (20, {"usb": 30, "uplink": 50, "reuse": 0})
    assert attributed(60, injected) == (0, {"usb": 30, "uplink": 30, "reuse": 0})


async def test_what_nobody_injected_came_from_neighbours() -> None:
    transfer = a_transfer()
    transfer.tracked, transfer.ledger.sums = True, {Injected.UPLINK: 40}
    transfer.receive(TorrentState(ROOT, done=100, received=100, redundant=40))
    assert transfer.counts == ByteCounts(lan=60, uplink=40, received=65, sent=7, wasted=40)


async def test_what_came_by_http_is_received_once_and_is_no_progress_of_bittorrent() -> None:
    transfer = a_transfer()
    transfer.rescued = 40
    transfer.receive(TorrentState(ROOT, done=100, received=60))
    assert transfer.counts.received == 105
    transfer.start_over()
    transfer.receive(TorrentState(ROOT, done=100, received=1))
    assert transfer.counts.received == 106
    assert not transfer.stalled(1, neighbours=1)
    transfer.rescued += 50
    transfer.receive(TorrentState(ROOT, done=150, received=1))
    assert transfer.stalled(11, neighbours=1)


async def test_listeners_are_told_until_they_leave() -> None:
    transfer = a_transfer()
    reports: list[TransferProgress] = []
    with transfer.reporting(reports.append):
        transfer.receive(TorrentState(ROOT, done=4, peers=2, rate=3))
    transfer.receive(TorrentState(ROOT, done=5))
    assert [(one.done, one.peers, one.rate) for one in reports] == [(4, 2, 3)]


@pytest.mark.parametrize(("errno", "kind"), [(28, SpaceError), (122, SpaceError), (5, FetchError)])
async def test_the_first_disk_error_is_what_the_fetch_raises(
    errno: int, kind: type[Exception]
) -> None:
    transfer = a_transfer()
    transfer.receive(DiskFailed(ROOT, errno, "first"))
    transfer.receive(DiskFailed(ROOT, 1, "second"))
    assert isinstance(transfer.failure, kind)
    assert "first" in str(transfer.failure)
    assert not transfer.unfinished


async def test_a_complete_state_finishes_even_when_the_alert_was_lost() -> None:
    transfer = a_transfer()
    transfer.receive(TorrentState(ROOT, complete=True))
    assert transfer.finished.is_set()


async def test_refused_resume_data_ends_the_wait_for_it() -> None:
    transfer = a_transfer()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(refused(transfer))
        await asyncio.sleep(0)
        transfer.receive(Finished(ROOT))
        transfer.receive(ResumeRefused(ROOT, "no"))
    assert "cannot save resume data" in waiting.result()


async def refused(transfer: Transfer) -> str:
    """Wait for resume data; why it did not come."""
    with pytest.raises(FetchError) as error:
        await transfer.next(ResumeData)
    return error.value.message
