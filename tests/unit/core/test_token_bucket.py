from p2pupd.core.token_bucket import TokenBucket


def test_a_full_bucket_gives_its_burst_and_then_nothing() -> None:
    bucket = TokenBucket(rate=2, burst=3, now=10)

    assert [bucket.take(10) for _ in range(4)] == [True, True, True, False]


def test_tokens_flow_in_with_time_but_never_over_the_burst() -> None:
    bucket = TokenBucket(rate=2, burst=3, now=0)
    while bucket.take(0):
        pass

    assert bucket.wait(0) == 0.5
    assert bucket.take(0.5)
    assert not bucket.take(0.5)
    assert bucket.wait(100) == 0
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]


def test_many_tokens_are_taken_together_or_not_at_all() -> None:
    bucket = TokenBucket(rate=100, burst=1000, now=0)

    assert bucket.take(0, 900)
    assert not bucket.take(0, 200)
    assert bucket.wait(0, 200) == 1.0
    assert bucket.take(0, 100)
    assert not bucket.take(100, 1001), "more than the burst are never there"
