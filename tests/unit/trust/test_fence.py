import pytest

from p2pupd.errors import DowngradeError, SignatureError
from p2pupd.trust.fence import Fence, decode
from p2pupd.trust.freshness import Floor

ROLES = ("root", "targets", "snapshot", "timestamp", "line")
KEYS = {role: f"1:{role}" for role in ROLES}
FLOOR = Floor(build=1, root=2, targets=3, timestamp=4)
FENCE = Fence(dict.fromkeys(ROLES, 5), KEYS, FLOOR, root="digest", anchor="first")


def standing(*rotated: str) -> set[str]:
    """Roles still fenced after the keys of `rotated` have changed."""
    return set(FENCE.under(KEYS | dict.fromkeys(rotated, "2:new")).versions)


def test_as_long_as_no_key_changes_everything_stands() -> None:
    assert FENCE.under(KEYS) == FENCE
    assert FENCE.under({}) == FENCE


@pytest.mark.parametrize(
    ("rotated", "void"),
    [
        ("timestamp", {"timestamp", "snapshot"}),
        ("snapshot", {"timestamp", "snapshot", "targets", "line"}),
        ("targets", {"targets", "line"}),
        ("line", {"line"}),
        ("root", set()),
    ],
)
def test_rotated_keys_void_what_they_vouched_for(rotated: str, void: set[str]) -> None:
    assert standing(rotated) == set(ROLES) - void


def test_rotated_keys_void_their_claims_about_time() -> None:
    assert FENCE.under(KEYS | {"timestamp": "new"}).floor == Floor(1, 2, 3, 0)
    assert FENCE.under(KEYS | {"targets": "new"}).floor == Floor(1, 2, 0, 4)
    assert FENCE.under(KEYS | {"snapshot": "new", "root": "new"}).floor == FLOOR


def test_a_role_that_is_new_is_not_fenced() -> None:
    FENCE.check({"other": 1, "root": 5, "line": 6})
    with pytest.raises(DowngradeError, match=r"line.json version 4 is older than version 5"):
        FENCE.check({"root": 6, "line": 4})


def test_only_the_accepted_root_passes() -> None:
    Fence().check_root("any")
    FENCE.check_root("digest")
    with pytest.raises(SignatureError, match=r"5.root.json is another one"):
        FENCE.check_root("other")


def test_a_fence_comes_back_from_disk_with_the_build_time_of_now() -> None:
    assert decode(FENCE.encode(), build=1) == FENCE
    newer = decode(FENCE.encode(), build=100)
    assert newer is not None
    assert newer.floor.at_least == 100
