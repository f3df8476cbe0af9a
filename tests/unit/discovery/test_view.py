"""Hints become candidates, candidates become neighbours: only within bounds, only when asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from p2pupd.discovery.interfaces import InterfaceWatcher
from p2pupd.discovery.settings import DiscoverySettings
from p2pupd.discovery.view import View
from p2pupd.model.ids import ManifestDigest, Realm
from p2pupd.model.setting import Seconds
from tests.support import eventually, running
from tests.unit.discovery.floor import (
    REALM,
    Floor,
    Heard,
    address,
    device,
    hello,
    hint,
    idle,
)

SETTINGS = DiscoverySettings(interfaces=("lo",), probe_burst=1000)
ME = 0
OTHER_REALM = Realm("f" * 16)


@asynccontextmanager
async def viewing(
    floor: Floor, heard: Heard, settings: DiscoverySettings = SETTINGS
) -> AsyncIterator[View]:
    view = View(
        settings,
        device(ME),
        REALM,
        ask_hello=floor.ask,
        interfaces=InterfaceWatcher(settings),
        listener=heard,
        clock=lambda: 5.0,
        chance=lambda: 0.99,
    )
    async with running(view.run()):
        yield view


async def test_a_hint_becomes_a_neighbour_when_its_hello_is_right() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1, manifest="a" * 64)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(replace(hint(1), bt_port=1))
        await eventually(view.neighbours)

        assert view.neighbours() == tuple(heard.seen)
        (neighbour,) = heard.seen
        assert (neighbour.id, neighbour.host, neighbour.port) == (device(1), address(1), 7830)
        assert (neighbour.bt_port, neighbour.manifest) == (6881, "a" * 16)
        assert (neighbour.source, neighbour.last_seen) == ("mdns", 5.0)


async def test_ourselves_other_realms_and_foreign_networks_are_ignored() -> None:
    floor, heard = Floor(), Heard()
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(ME))
        view.neighbour_seen(hint(1, realm=OTHER_REALM))
        view.neighbour_seen(hint(2, host="198.51.100.9"))
        view.told(device(3), ManifestDigest("a" * 64), "198.51.100.9", 7830)
        await idle()

        assert len(view) == 0
        assert floor.asked == []


async def test_a_configured_peer_may_be_in_any_network() -> None:
    floor, heard = Floor(), Heard()
    floor.answers["198.51.100.9"] = hello(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1, host="198.51.100.9", source="static"))
        await eventually(lambda: heard.seen)


async def test_who_answers_as_another_device_or_realm_is_not_admitted() -> None:
    floor, heard = Floor(), Heard()
    floor.answers[address(1)] = hello(9)
    floor.answers[address(2)] = hello(2, realm=OTHER_REALM)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        view.neighbour_seen(hint(2))
        await eventually(lambda: len(floor.asked) == 2)
        await idle()

        assert view.neighbours() == ()
        assert heard.seen == []


async def test_a_flood_of_forged_services_stays_bounded_and_hides_nobody() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)
        for number in range(2, 1000):
            view.neighbour_seen(hint(number))
        assert len(view) == SETTINGS.candidates
        await eventually(lambda: len(floor.asked) > SETTINGS.candidates)

        floor.add(1001)
        view.neighbour_seen(hint(1001))
        await eventually(lambda: len(view.neighbours()) == 2)
        assert len(view) <= SETTINGS.candidates
        assert heard.lost == []


async def test_hellos_are_sent_at_a_bounded_rate() -> None:
    floor, heard = Floor(), Heard()
    settings = replace(SETTINGS, probe_burst=5, probe_rate=0.1)
    async with viewing(floor, heard, settings) as view:
        for number in range(1, 100):
            view.neighbour_seen(hint(number))
        await idle()

        assert len(floor.asked) == 5


async def test_only_some_hellos_wait_for_an_answer_at_the_same_time() -> None:
    floor, heard = Floor(), Heard()
    floor.answering.clear()
    async with viewing(floor, heard) as view:
        for number in range(1, 2 * SETTINGS.neighbours):
            floor.add(number)
            view.neighbour_seen(hint(number))
        await idle()
        assert len(floor.asked) == SETTINGS.probes_at_once

        floor.answering.set()
        await eventually(lambda: len(view.neighbours()) == SETTINGS.neighbours)


async def test_one_address_can_claim_only_some_devices() -> None:
    floor, heard = Floor(), Heard()
    floor.answering.clear()
    async with viewing(floor, heard) as view:
        for number in range(1, 200):
            view.neighbour_seen(hint(number, host="127.0.0.9"))

        assert len(view) == SETTINGS.candidates_per_host


async def test_the_same_neighbours_are_kept_in_whatever_order_they_appear() -> None:
    settings = replace(SETTINGS, neighbours=5)
    kept = []
    for order in (range(1, 40), range(39, 0, -1)):
        floor, heard = Floor(), Heard()
        async with viewing(floor, heard, settings) as view:
            for number in order:
                floor.add(number)
                view.neighbour_seen(hint(number))
                await idle()
            kept.append([neighbour.id for neighbour in view.neighbours()])
            assert len(heard.seen) - len(heard.lost) == 5

    assert kept[0] == kept[1]


async def test_when_a_neighbour_goes_the_next_best_takes_its_place() -> None:
    settings = replace(SETTINGS, neighbours=2)
    floor, heard = Floor(), Heard()
    async with viewing(floor, heard, settings) as view:
        for number in range(1, 10):
            floor.add(number)
            view.neighbour_seen(hint(number))
        await idle()
        gone = view.neighbours()[0]
        del floor.answers[gone.host]
        view.neighbour_lost(gone.id, "mdns")

        await eventually(lambda: len(view.neighbours()) == 2)
        assert gone.id not in {neighbour.id for neighbour in view.neighbours()}


async def test_a_goodbye_is_believed_at_once() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)

        view.neighbour_lost(device(1), "mdns")
        assert heard.lost == [(device(1), "view")]
        assert view.neighbours() == ()


async def test_a_goodbye_of_a_source_that_did_not_know_it_means_nothing() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1, source="static"))
        await eventually(lambda: heard.seen)

        view.neighbour_lost(device(1), "mdns")
        view.neighbour_lost(device(2), "mdns")
        assert heard.lost == []


async def test_a_forged_goodbye_costs_a_moment_and_a_true_one_is_forgotten() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    floor.add(2)
    async with viewing(floor, heard, replace(SETTINGS, return_delay=Seconds(0.01))) as view:
        for number in (1, 2):
            view.neighbour_seen(hint(number))
        await eventually(lambda: len(view.neighbours()) == 2)
        del floor.answers[address(2)]
        for number in (1, 2):
            view.neighbour_lost(device(number), "mdns")
        assert view.neighbours() == ()

        await eventually(lambda: len(view) == 1)
        await eventually(lambda: [one.id for one in view.neighbours()] == [device(1)])


async def test_a_silent_neighbour_is_lost_after_some_hellos_and_then_forgotten() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    settings = replace(SETTINGS, lost_after=1, forget_after=2)
    async with viewing(floor, heard, settings) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)
        floor.answers.clear()

        view.suspect(device(1))
        view.suspect(device(2))
        await eventually(lambda: heard.lost == [(device(1), "view")])
        await eventually(lambda: len(view) == 0)


async def test_one_silent_device_that_is_back_has_the_others_asked_too() -> None:
    floor, heard = Floor(), Heard()
    for number in range(1, 9):
        floor.add(number)
    async with viewing(floor, heard, replace(SETTINGS, lost_after=1)) as view:
        for number in range(1, 9):
            view.neighbour_seen(hint(number))
        await eventually(lambda: len(view.neighbours()) == 8)
        answers = dict(floor.answers)
        floor.answers.clear()
        for number in range(2, 9):
            view.suspect(device(number))
        await eventually(lambda: len(floor.asked) >= 8 + 3 * 7)
        view.suspect(device(1))
        await eventually(lambda: view.neighbours() == ())
        floor.answers.update(answers)
        await eventually(lambda: device(1) in {each.id for each in view.neighbours()}, within=2)
        await eventually(lambda: len(view.neighbours()) == 8, within=1)


async def test_a_silent_device_of_a_small_floor_is_asked_every_few_seconds_for_good() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard, replace(SETTINGS, lost_after=1)) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)
        answers = dict(floor.answers)
        floor.answers.clear()
        view.suspect(device(1))
        await eventually(lambda: len(floor.asked) >= 5, within=8)
        floor.answers.update(answers)
        await eventually(view.neighbours, within=2.1)


async def test_neighbours_are_asked_regularly_and_what_changed_is_told() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard, replace(SETTINGS, check_interval=Seconds(0.01))) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: len(floor.asked) > 5)
        assert len(heard.seen) == 1

        floor.add(1, manifest="b" * 64)
        await eventually(lambda: len(heard.seen) == 2)
        assert view.neighbours()[0].manifest == "b" * 16


async def test_a_killed_device_that_returns_is_asked_as_soon_as_it_is_heard() -> None:
    floor, heard = Floor(), Heard()
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: len(floor.asked) >= 2)
        floor.add(1)

        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen, within=1)


async def test_a_new_manifest_from_the_known_place_is_news_without_asking() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)

        view.neighbour_seen(replace(hint(1), manifest="c" * 16))
        view.told(device(1), ManifestDigest("d" * 64), address(1), 7830)
        assert [one.manifest for one in heard.seen] == ["", "c" * 16, "d" * 16]
        assert len(floor.asked) == 1


async def test_a_neighbour_that_says_it_has_an_uplink_is_asked_whether_it_is_so() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)
        assert not heard.seen[0].uplink

        view.told(device(1), ManifestDigest("0" * 64), address(1), 7830, uplink=True)
        await eventually(lambda: len(floor.asked) == 2)
        await idle()
        assert not any(each.uplink for each in heard.seen), "its own hello counts"

        floor.add(1, uplink=True)
        view.neighbour_seen(replace(hint(1), uplink=True))
        await eventually(lambda: heard.seen[-1].uplink)


async def test_a_notification_from_an_unknown_device_introduces_it() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1, manifest="d" * 64)
    async with viewing(floor, heard) as view:
        view.told(device(1), ManifestDigest("d" * 64), address(1), 7830)
        await eventually(lambda: heard.seen)

        assert (heard.seen[0].source, heard.seen[0].manifest) == ("notify", "d" * 16)


async def test_a_notification_in_a_neighbours_name_from_elsewhere_is_ignored() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)

        view.told(device(1), ManifestDigest("d" * 64), "127.0.0.66", 7830)
        await idle()
        assert len(heard.seen) == 1


async def test_a_neighbour_that_moved_is_found_and_a_forged_move_is_not_followed() -> None:
    floor, heard = Floor(), Heard()
    floor.add(1)
    async with viewing(floor, heard) as view:
        view.neighbour_seen(hint(1))
        await eventually(lambda: heard.seen)

        view.neighbour_seen(hint(1, host="127.0.0.66"))
        await eventually(lambda: "127.0.0.66" in floor.asked)
        await idle()
        assert view.neighbours()[0].host == address(1)

        floor.answers["127.0.0.77"] = hello(1)
        view.neighbour_seen(hint(1, host="127.0.0.77"))
        await eventually(lambda: view.neighbours()[0].host == "127.0.0.77")
        assert heard.lost == []


async def test_a_better_ranked_newcomer_takes_the_place_of_an_unasked_candidate() -> None:
    floor, heard = Floor(), Heard()
    floor.answering.clear()
    async with viewing(floor, heard, replace(SETTINGS, candidates=8)) as view:
        for number in range(1, 100):
            view.neighbour_seen(hint(number))
        assert len(view) == 8

        for number in range(1, 100):
            floor.add(number)
        floor.answering.set()
        await eventually(lambda: len(view.neighbours()) == 8)
        best = sorted(view._rank(device(number)) for number in range(1, 100))[:8]
        assert sorted(view._rank(one.id) for one in view.neighbours()) == best
