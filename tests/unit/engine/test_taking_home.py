"""What is written to a stick, also where somebody made up more devices than it takes."""

from dataclasses import replace
from pathlib import Path

from p2pupd.engine.logs import Logs
from p2pupd.engine.taking_home import TakingHome
from p2pupd.errors import FetchError
from p2pupd.feeds.interface import Offer
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.device import Neighbour
from p2pupd.model.fleet import Standing, View
from p2pupd.model.ids import DeviceId
from p2pupd.wire.records import MAX_BYTES as LONGEST
from p2pupd.wire.results import MAX_BYTES, decode
from tests.saying import NOW, REALM, device, seen
from tests.support import eventually, running


async def test_made_up_devices_do_not_keep_the_others_from_the_stick(tmp_path: Path) -> None:
    written: list[bytes] = []
    own, near = seen(1, standing=Standing.OWN), seen(2, direct=True, first=NOW - 9)
    made_up = replace(seen(3), raw=b"x" * LONGEST)
    flood = {DeviceId(f"{each}"): made_up for each in range(MAX_BYTES // LONGEST + 10)}
    view = View(flood | {DeviceId("near"): near, DeviceId("own"): own})
    home = TakingHome(
        lambda _, raw: written.append(raw),
        lambda: view,
        _logs(tmp_path),
        now=lambda: float(NOW),
        wanted=True,
    )
    home.offered(Offer("usb:/media/stick", b"", None))
    async with running(home.run()):
        await eventually(lambda: len(written) >= 2)
    for each in written:
        items = [item.raw for item in decode(each).items]
        assert items[:2] == [own.raw, near.raw]
        assert len(items) > len(flood) - 50


def _logs(tmp_path: Path) -> Logs:
    async def ask(_: Neighbour) -> bytes:
        raise FetchError("there is no network")

    journal = SqliteJournal(tmp_path / "journal.sqlite", JournalSettings())
    return Logs(device(1), REALM, journal, now=lambda: NOW, neighbours=list, ask=ask)
