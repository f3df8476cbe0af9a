import asyncio
from contextlib import AsyncExitStack

import pytest
from nacl.signing import SigningKey

from p2pupd.core.digest_tree import Index
from p2pupd.core.floor import Taken
from p2pupd.engine.fleet_settings import FleetSettings
from p2pupd.engine.fleetsync import FUTILE_REST, FleetSync
from p2pupd.errors import ProtocolError
from p2pupd.model.device import Neighbour, Role
from p2pupd.model.fleet import Stamp
from p2pupd.model.ids import DeviceId, Realm
from p2pupd.trust.envelope import seal
from p2pupd.trust.identity import Identity, device_id
from p2pupd.trust.records import sign
from p2pupd.wire import codec
from p2pupd.wire import sync as wire
from p2pupd.wire.sync import Answer, Ask, Item, decode_answer
from tests.gossiping import Node, all_same, ring
from tests.saying import NOW, REALM, a_status, device, seen, signed
from tests.support import eventually, running

SLOW = FleetSettings(interval=3600.0, pace=0.01)  # type: ignore[arg-type]


async def _ask(node: Node, *raw: bytes, age: int = 0, wanted: tuple[bytes, ...] = ()) -> Answer:
    items = tuple(Item(each, age) for each in raw)
    return decode_answer(await node.sync.answer(Ask(REALM, "", b"\0" * 8, items, wanted).encode()))


async def test_news_reaches_everybody_although_each_knows_only_two() -> None:
    nodes = ring(12)
    for each in nodes:
        each.says()
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(running(each.sync.run()))
            each.tells()
        await eventually(all_same(nodes))
    assert all(len(each.floor) == 12 for each in nodes)
    assert all(each.news for each in nodes)


async def test_a_sign_of_life_spreads_at_rest_and_is_told_to_nobody_as_news() -> None:
    nodes = ring(4)
    for each in nodes:
        each.says()
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(running(each.sync.run()))
            each.tells()
        await eventually(all_same(nodes))
        told = [each.news for each in nodes]
        assert nodes[0].says(sequence=2, news=1) is Taken.BEAT
        await eventually(lambda: all(each.knows()[nodes[0].id] == 2 for each in nodes))
    assert [each.news for each in nodes] == told


async def test_views_that_differ_in_one_of_many_find_it_by_parts() -> None:
    floor: dict[DeviceId, Node] = {}
    one, other = Node(1, floor, [2], SLOW), Node(2, floor, [1], SLOW)
    for number in range(10, 910):
        for each in (one, other):
            each.floor.take(seen(number))
    other.floor.take(seen(5000))
    one.floor.take(seen(5001))
    async with running(one.sync.run()):
        one.sync.told(other.id, other.sync.digest)
        await eventually(all_same([one, other]))
    assert len(one.floor) == 902
    assert one.sent < 10_000


async def test_a_neighbour_that_does_not_answer_keeps_nobody_from_the_others() -> None:
    nodes = ring(4)
    nodes[1].near.clear()
    for each in nodes:
        each.says()
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(running(each.sync.run()))
            each.tells()
        await eventually(all_same([nodes[0], nodes[2], nodes[3]]))


async def test_neighbours_that_never_come_to_an_end_keep_nobody_from_the_others() -> None:
    asked: list[DeviceId] = []

    async def never(neighbour: Neighbour, _: bytes) -> bytes:
        asked.append(neighbour.id)
        return await asyncio.Future[bytes]()

    near = [
        Neighbour(device(each).id, "127.0.0.1", 1, 1, REALM, "", Role.PEER, "test")
        for each in range(2, 7)
    ]
    sync = FleetSync(
        SLOW,
        REALM,
        Index(),
        neighbours=lambda: near,
        call=never,
        now=lambda: float(NOW),
        on_news=lambda: None,
        longest=0.01,
    )
    for each in near:
        sync.told(each.id, b"another!")
    async with running(sync.run()):
        await eventually(lambda: len(asked) == len(near), within=3)


async def test_a_floor_that_was_cut_in_two_is_one_again_within_ten_seconds_of_the_heal() -> None:
    nodes = ring(8, width=3)
    left, right = nodes[:4], nodes[4:]
    whole = {each.number: set(each.near) for each in nodes}
    for side in (left, right):
        for each in side:
            each.near &= {other.id for other in side}
            each.says()
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(running(each.sync.run()))
            each.tells()
        await eventually(all_same(left))
        await eventually(all_same(right))
        assert len(left[0].floor) == len(right[0].floor) == 4
        for each in nodes:
            each.near |= whole[each.number]
            each.sync.met()
        await eventually(all_same(nodes), within=10)
    assert all(len(each.floor) == 8 for each in nodes)


async def test_who_says_different_things_to_different_ones_is_seen_alike_in_the_end() -> None:
    nodes = ring(4, width=2)
    for each, model in zip(nodes, ("one", "one", "other", "other"), strict=True):
        each.says()
        await _ask(each, signed(99, model=model))
    async with AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(running(each.sync.run()))
        await eventually(all_same(nodes))
    said = {each.floor.view().entries[device(99).id].record.model for each in nodes}
    assert len(said) == 1


async def test_what_does_not_count_is_dropped_and_counted() -> None:
    node = ring(1)[0]
    node.says()
    good = signed(7, sequence=5)
    fields = codec.unpack(good, 8192)
    await _ask(node, good)
    await _ask(
        node,
        codec.pack(fields | {"s": b"\0" * 64}),
        signed(7, sequence=4),
        signed(8, at=NOW + 10 * 365 * 24 * 3600),
        signed(8, site="elsewhere"),
        signed(8, realm=Realm("f" * 16)),
        b"\0" * 20_000,
        b"garbage",
        seal("unknown", b"payload", device(8).signing_key),
    )
    assert node.sync.dropped == {
        "forged": 1,
        "replayed": 1,
        "future-dated": 1,
        "other-site": 1,
        "other-realm": 1,
        "oversized": 1,
        "malformed": 1,
        "unknown-kind": 1,
    }
    assert set(node.knows()) == {node.id, device(7).id}
    assert node.knows()[device(7).id] == 5


async def test_a_replay_of_what_is_known_is_harmless() -> None:
    node = ring(1)[0]
    await _ask(node, signed(7))
    before = node.index.stamps.digest(), node.news
    for _ in range(3):
        await _ask(node, signed(7))
    assert (node.index.stamps.digest(), node.news) == before
    assert not node.sync.dropped


async def test_a_caller_of_another_realm_gets_nothing() -> None:
    node = ring(1)[0]
    with pytest.raises(ProtocolError):
        await node.sync.answer(Ask(Realm("f" * 16), "", b"\0" * 8).encode())
    assert node.sync.dropped == {"other-realm": 1}


async def test_ten_thousand_made_up_devices_fill_the_view_and_push_nobody_out() -> None:
    floor: dict[DeviceId, Node] = {}
    node = Node(1, floor, [2, 3], FleetSettings(devices=200))
    node.says()
    await _ask(node, signed(2), signed(3), signed(4))
    for start in range(0, 10_000, 100):
        await _ask(node, *(_made_up(number) for number in range(start, start + 100)))
    assert len(node.floor) == 200
    assert {device(each).id for each in (1, 2, 3, 4)} <= set(node.knows())
    assert node.sync.dropped["full"] == 10_000 - 196
    assert len(node.index.stamps) == 200


def _made_up(number: int) -> bytes:
    key = SigningKey((10**9 + number).to_bytes(32, "big"))
    identity = Identity(device_id(key.verify_key), key)
    return sign(a_status(device=identity.id), identity)


async def test_an_answer_is_bounded_however_much_is_wanted() -> None:
    node = ring(1)[0]
    for start in range(0, 600, 100):
        await _ask(node, *(_made_up(number) for number in range(start, start + 100)))
    names = tuple(node.index.stamps.items())[: wire.MAX_WANTED]
    answer = await _ask(node, wanted=names)
    assert sum(len(each.raw) for each in answer.items) <= wire.ITEMS_BYTES
    assert 0 < len(answer.items) < len(names)
    assert (await _ask(node)).children


async def test_what_is_not_held_any_more_is_left_out_of_an_answer() -> None:
    node = ring(1)[0]
    await _ask(node, signed(7))
    name = next(iter(node.index.stamps.items()))
    assert len((await _ask(node, wanted=(b"unknown!", name))).items) == 1


async def test_the_age_of_what_comes_by_others_counts() -> None:
    node = ring(1)[0]
    await _ask(node, signed(7), age=5000)
    assert node.floor.view().entries[device(7).id].silent(NOW)
    assert (await _ask(node, wanted=tuple(node.index.stamps.items()))).items[0].age == 5000


@pytest.mark.parametrize("sequence", [1, 2])
async def test_nobody_makes_another_device_silent_by_a_great_age(sequence: int) -> None:
    node = ring(1)[0]
    await _ask(node, signed(7))
    await _ask(node, signed(7, sequence=sequence), age=wire.OLDEST)
    assert not node.floor.view().entries[device(7).id].silent(NOW)


async def test_a_later_record_of_this_very_device_is_told_and_not_taken() -> None:
    node = ring(1)[0]
    node.says(sequence=3)
    await _ask(node, signed(1, sequence=2))
    assert node.overtaken == []
    await _ask(node, signed(1, sequence=900))
    assert [each[:2] for each in node.overtaken] == [Stamp(0, 900)[:2]]
    assert node.knows() == {node.id: 3}


async def test_who_differs_and_has_nothing_to_give_is_left_alone_for_long() -> None:
    floor: dict[DeviceId, Node] = {}
    small = FleetSettings(devices=3, interval=3600.0, pace=0.01)  # type: ignore[arg-type]
    one, other = Node(1, floor, [2], small), Node(2, floor, [1], SLOW)
    await _ask(one, signed(1), signed(10), signed(11), signed(12))
    await _ask(other, signed(10), signed(11), signed(12), signed(13), signed(14))
    async with running(one.sync.run()):
        one.sync.told(other.id, other.sync.digest)
        await eventually(lambda: one.sent > 0)
        sent = one.sent
        one.sync.told(other.id, other.sync.digest)
        one.sync.met()
        await eventually(lambda: not one.sync._differing)
    assert one.sent == sent


async def test_who_turns_away_all_that_it_is_given_is_left_alone_for_long() -> None:
    floor: dict[DeviceId, Node] = {}
    small = FleetSettings(devices=3, interval=3600.0, pace=0.01)  # type: ignore[arg-type]
    one, other = Node(1, floor, [2], SLOW), Node(2, floor, [1], small)
    await _ask(one, signed(10), signed(11), signed(12), signed(13))
    await _ask(other, signed(10), signed(11), signed(12))
    async with running(one.sync.run()):
        one.sync.told(other.id, other.sync.digest)
        await eventually(lambda: one.sync._rests)
    rest = one.sync._rests[other.id] - asyncio.get_running_loop().time()
    assert set(other.sync.dropped) == {"full"}
    assert rest > FUTILE_REST / 2
