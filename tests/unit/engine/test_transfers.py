"""What a transfer remembers of its sources, and of its pace.

Lies are remembered for ever, failures to fetch for a while.
"""

import asyncio

from p2pupd.engine.tasks import Tasks
from p2pupd.engine.transfers import FORGIVEN_AFTER, RATE_OVER, Meter, Transfer
from p2pupd.errors import ContentError, FetchError, SourceGone, UnsafeMedia
from tests.builders import a_release

SOURCE = "uplink:http://far"


def test_what_could_not_be_fetched_is_asked_for_again_after_a_while() -> None:
    for error in (FetchError("404"), SourceGone("no route")):
        transfer = Transfer(a_release())
        transfer.refuse(SOURCE, error, 100)
        transfer.forgive(100 + FORGIVEN_AFTER - 1)
        assert transfer.refused == {SOURCE: error}
        transfer.forgive(100 + FORGIVEN_AFTER)
        assert transfer.refused == {}


def test_a_source_that_lied_is_never_forgiven() -> None:
    for error in (ContentError("wrong bytes"), UnsafeMedia("a link")):
        transfer = Transfer(a_release())
        transfer.refuse(SOURCE, error, 100)
        transfer.forgive(100 + 1000 * FORGIVEN_AFTER)
        assert transfer.refused == {SOURCE: error}


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_was_known_of_a_source_that_left_counts_no_more() -> None:
    transfer = Transfer(a_release())
    async with asyncio.TaskGroup() as group:
        supply = transfer.supplies[SOURCE] = Tasks(group).start("supply", forever())
        transfer.whole.add(SOURCE)
        transfer.refuse(SOURCE, FetchError("404"), 0)
        news = transfer.changed.next()
        transfer.forget(SOURCE)
        assert news.done()
    assert supply.cancelled()
    assert (transfer.whole, transfer.supplies, transfer.forgiven) == (set(), {}, {})


def test_a_rate_is_that_of_the_last_seconds_from_whatever_source() -> None:
    meter = Meter()
    assert meter.rate(0.0) == 0
    for second in range(10):
        meter.saw(1000 * second, float(second))
    assert meter.rate(9.0) == 1000
    assert meter.rate(9.0 + RATE_OVER) == 500
    meter.saw(9000, 10.0 + RATE_OVER)
    meter.saw(9000, 10.0 + 3 * RATE_OVER)
    assert meter.rate(10.0 + 3 * RATE_OVER) == 0


def test_a_rate_begins_anew_when_something_was_lost() -> None:
    meter = Meter()
    meter.saw(10_000, 0.0)
    meter.saw(100, 1.0)
    meter.saw(1100, 2.0)
    assert meter.rate(2.0) == 1000


def test_a_moment_is_no_rate() -> None:
    meter = Meter()
    meter.saw(0, 0.0)
    meter.saw(1000, 0.001)
    assert meter.rate(0.001) == 2000
