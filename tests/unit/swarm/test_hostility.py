from p2pupd.swarm.hostility import LONGEST_PATIENCE, Blocklist, StallWatch


def test_unwanted_blocks_are_counted_by_address_and_minute() -> None:
    blocks = Blocklist(limit=2, block_for=100)
    assert not any(blocks.unwanted("10.0.0.1", now) for now in (0, 1))
    assert not any(blocks.unwanted("10.0.0.1", now) for now in (61, 62))
    assert not blocks.unwanted("10.0.0.2", 63)
    assert blocks.unwanted("10.0.0.1", 64)
    assert not blocks.unwanted("10.0.0.1", 65)
    assert blocks.blocked == {"10.0.0.1"}


def test_a_block_ends_after_its_time() -> None:
    blocks = Blocklist(limit=2, block_for=100)
    assert blocks.block("10.0.0.1", 0)
    assert not blocks.expire(99)
    assert blocks.expire(100)
    assert not blocks.blocked


def test_a_transfer_is_stalled_when_its_patience_is_over() -> None:
    watch = StallWatch(patience=10, now=0)
    assert not watch.stalled(0, 9, neighbours=1)
    assert not watch.stalled(5, 11, neighbours=1)
    assert not watch.stalled(5, 20, neighbours=1)
    assert watch.stalled(5, 21, neighbours=1)
    assert not watch.alone


def test_patience_doubles_with_each_round_of_the_neighbours_and_progress_restores_it() -> None:
    watch = StallWatch(patience=10, now=0)
    assert watch.stalled(0, 10, neighbours=2)
    assert watch.stalled(0, 20, neighbours=2)
    assert not watch.stalled(0, 30, neighbours=2)
    assert watch.stalled(0, 40, neighbours=2)
    assert not watch.stalled(1, 41, neighbours=2)
    assert watch.stalled(1, 51, neighbours=2)


def test_patience_has_an_upper_bound() -> None:
    watch = StallWatch(patience=10, now=0)
    now = 0.0
    for _ in range(20):
        now += LONGEST_PATIENCE
        assert watch.stalled(0, now, neighbours=1)


def test_bytes_that_come_a_second_time_are_no_progress() -> None:
    watch = StallWatch(patience=10, now=0)
    assert not watch.stalled(100, 1, neighbours=1)
    assert not watch.stalled(50, 5, neighbours=1)
    assert watch.stalled(100, 11, neighbours=1)


def test_nothing_is_stalled_while_nothing_can_arrive() -> None:
    watch = StallWatch(patience=10, now=0)
    watch.rest(100)
    assert not watch.stalled(0, 109, neighbours=1)


def test_with_evidence_neighbours_are_tried_one_at_a_time_the_least_tried_first() -> None:
    watch = StallWatch(patience=10, now=0)
    hosts = ("seed", "a", "b")
    assert watch.stalled(0, 10, neighbours=3)
    assert watch.choose(hosts) == hosts
    tried: list[str] = []
    for number in range(4):
        watch.evidence += 1
        assert watch.stalled(0, 20 + 100 * number, neighbours=3)
        tried += watch.choose(hosts)
    assert tried == ["seed", "a", "b", "seed"]
    assert watch.choose(()) == ()


def test_a_useless_neighbour_is_given_up_at_once() -> None:
    watch = StallWatch(patience=10, now=0)
    watch.hurry()
    assert watch.stalled(0, 1, neighbours=1)
    assert not watch.stalled(0, 2, neighbours=1)


def test_a_transfer_is_helpless_when_starting_over_did_not_help_either() -> None:
    watch = StallWatch(patience=10, now=0)
    assert watch.stalled(0, 10, neighbours=3)
    assert not watch.helpless
    assert not watch.stalled(1, 11, neighbours=3)
    assert watch.stalled(1, 21, neighbours=3)
    assert not watch.helpless
    assert watch.stalled(1, 31, neighbours=3)
    assert watch.helpless


def test_a_transfer_that_nobody_can_be_called_for_is_helpless_at_once() -> None:
    watch = StallWatch(patience=10, now=0)
    assert not watch.stalled(0, 9, neighbours=0)
    assert not watch.helpless
    assert watch.stalled(0, 10, neighbours=0)
    assert watch.helpless


def test_a_transfer_is_helpless_until_bytes_came_for_a_while_without_a_break() -> None:
    watch = StallWatch(patience=10, now=0)
    assert watch.stalled(0, 10, neighbours=0)
    for done, now in ((1, 11), (2, 16), (2, 20)):
        assert not watch.stalled(done, now, neighbours=1)
        assert watch.helpless
    assert watch.stalled(2, 26, neighbours=1)
    for done, now in ((3, 27), (4, 36)):
        assert not watch.stalled(done, now, neighbours=1)
        assert watch.helpless
    assert not watch.stalled(5, 37, neighbours=1)
    assert not watch.helpless
