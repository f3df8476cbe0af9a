import pytest

from p2pupd.errors import ExpiredError
from p2pupd.model.clock import WallClock
from p2pupd.trust.freshness import Floor, check_expiry, findings, reference_time
from p2pupd.trust.settings import Freshness, TrustSettings

DAY = 86400
END = {"root": 2000 * DAY, "timestamp": 1000 * DAY}
WARN = TrustSettings()
STRICT = TrustSettings(freshness=Freshness.STRICT)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (WallClock(50, trusted=True), 100),
        (WallClock(150, trusted=True), 150),
        (WallClock(50, trusted=False), 100),
        (WallClock(4e9, trusted=False), 100),
    ],
)
def test_only_a_trusted_clock_moves_the_reference_beyond_the_floor(
    clock: WallClock, expected: int
) -> None:
    assert reference_time(Floor(build=100), clock) == expected


@pytest.mark.parametrize("place", ["build", "root", "targets", "timestamp"])
def test_the_floor_is_the_latest_claim(place: str) -> None:
    claims = {"build": 1, "root": 2, "targets": 3, "timestamp": 4, place: 9}
    assert Floor(**claims).at_least == 9


def test_a_floor_never_sinks() -> None:
    high = Floor(build=5, root=10, targets=20, timestamp=30)
    assert high.raised(1, 2, 3, root_expires=100, targets_expires=100) == high
    assert high.raised(11, 21, 31, 100, 100) == Floor(5, 11, 21, 31)


@pytest.mark.parametrize(("root_expires", "targets_expires"), [(50, 100), (100, 50), (49, 49)])
def test_an_online_key_cannot_claim_a_time_at_which_its_superiors_have_expired(
    root_expires: int, targets_expires: int
) -> None:
    assert Floor().raised(0, 0, 50, root_expires, targets_expires).timestamp == 0
    assert Floor().raised(0, 0, 50, 51, 51).timestamp == 50


def test_expiry_is_the_moment_itself() -> None:
    check_expiry(END, 1000 * DAY - 1)
    with pytest.raises(ExpiredError, match=r"timestamp.json expired on 1972-09-27"):
        check_expiry(END, 1000 * DAY)


def test_an_untrusted_clock_warns_by_role_and_a_trusted_one_need_not() -> None:
    late = WallClock(1003 * DAY, trusted=False)
    assert findings(END, 0, late, WARN) == (
        "timestamp expired 3 days ago by this device's clock, which is not trusted",
    )
    assert findings(END, 0, WallClock(1003 * DAY, trusted=True), WARN) == ()


@pytest.mark.parametrize("trusted", [False, True])
def test_metadata_issued_over_30_days_ago_is_old(trusted: bool) -> None:
    assert findings(END, 10 * DAY, WallClock(40 * DAY, trusted), WARN) == ()
    found = findings(END, 10 * DAY, WallClock(40 * DAY + 1, trusted), WARN)
    assert found == ("issued 30 days ago; is there a newer stick?",)
    with pytest.raises(ExpiredError, match="strict"):
        findings(END, 10 * DAY, WallClock(40 * DAY + 1, trusted), STRICT)
    assert findings(END, 10 * DAY, WallClock(0, trusted), STRICT) == ()
