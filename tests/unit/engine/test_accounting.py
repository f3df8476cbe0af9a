"""The totals: every artifact once, never less than before."""

from dataclasses import replace

from p2pupd.engine.accounting import Accounts
from p2pupd.model.device import ByteCounts
from p2pupd.model.ids import Sha256
from p2pupd.model.release import Artifact
from tests.builders import a_release

ONE, TWO = a_release(1).artifact, a_release(2).artifact


class Ways:
    """What the content's ways and the peer API would tell."""

    def __init__(self) -> None:
        self.moved: dict[Sha256, ByteCounts] = {}
        self.sent: dict[Sha256, int] = {}
        self.accounts = Accounts(self._counts, lambda sha256: self.sent.get(sha256, 0))

    def _counts(self, artifact: Artifact) -> ByteCounts:
        return self.moved.get(artifact.sha256, ByteCounts())


def test_what_the_peer_api_sent_is_sent() -> None:
    ways = Ways()
    ways.moved[ONE.sha256] = ByteCounts(lan=60, usb=40, sent=5)
    ways.sent[ONE.sha256] = 7
    assert ways.accounts.of(ONE) == ByteCounts(lan=60, usb=40, sent=12)
    assert ways.accounts.of(TWO) == ByteCounts()


def test_an_artifact_that_moves_and_is_stored_counts_once() -> None:
    ways = Ways()
    ways.moved[ONE.sha256] = ByteCounts(lan=60, usb=40, received=60, sent=5, wasted=1)
    ways.moved[TWO.sha256] = ByteCounts(uplink=9, reuse=3)
    total = ByteCounts(60, 9, 40, 3, received=60, sent=5, wasted=1)
    assert ways.accounts.total([ONE, TWO], [ONE]) == total
    assert ways.accounts.total([ONE, TWO], [ONE]) == total


def test_a_removed_artifact_stays_counted_and_counts_anew_when_it_comes_again() -> None:
    ways = Ways()
    ways.moved[ONE.sha256] = ByteCounts(lan=100, sent=50)
    assert ways.accounts.total([ONE], [ONE]).lan == 100
    assert ways.accounts.total([], [ONE]).lan == 100
    ways.moved[ONE.sha256] = ByteCounts(lan=10, sent=55)
    assert ways.accounts.total([ONE], []) == ByteCounts(lan=110, sent=55)
    ways.moved[ONE.sha256] = ByteCounts(lan=80, usb=20, sent=55)
    assert ways.accounts.total([ONE], []) == ByteCounts(lan=180, usb=20, sent=55)


def test_counts_that_are_being_read_again_take_nothing_back() -> None:
    ways = Ways()
    ways.moved[ONE.sha256] = ByteCounts(lan=70, usb=30)
    ways.accounts.total([ONE], [])
    ways.moved[ONE.sha256] = replace(ways.moved[ONE.sha256], lan=0)
    assert ways.accounts.total([ONE], []) == ByteCounts(lan=70, usb=30)


def test_what_came_and_went_between_two_looks_is_counted_when_it_was_moved_here() -> None:
    ways = Ways()
    ways.moved[ONE.sha256] = ByteCounts(lan=70)
    assert ways.accounts.total([], [ONE]) == ByteCounts(lan=70)
