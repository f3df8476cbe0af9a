"""`rollout`: what a signer can ask of every floor, and nothing else."""

from typing import Any

import pytest

from p2pupd.model.rollout import Rollout, Wave
from p2pupd.trust.policy import parse_rollout, rollout_object

WAVES = {"waves": [{"permille": 250}, {"permille": 1000}]}
FAILS = {"maxFailuresPermille": 100}


def test_everything_a_policy_can_say_is_read() -> None:
    said = {
        "waves": [{"permille": 10, "soakMinutes": 60}, {"permille": 1000}],
        "canary": {"groups": ["lab", "line-1"], "soakMinutes": 30},
        "maxFailuresPermille": 200,
        "windows": ["Mon-Fri 22:00-05:00"],
        "deadline": 1767225600,
        "maxConcurrent": 2,
    }
    policy = parse_rollout(said)
    assert policy == Rollout(
        waves=(Wave(10, 60), Wave(1000)),
        canary_groups=("lab", "line-1"),
        canary_soak_minutes=30,
        max_failures=200,
        windows=("Mon-Fri 22:00-05:00",),
        deadline=1767225600,
        max_concurrent=2,
    )
    assert rollout_object(policy) == said


def test_no_policy_is_everybody_at_once() -> None:
    assert parse_rollout({}) == Rollout()
    assert rollout_object(Rollout()) == {}
    assert parse_rollout({"waves": [{"permille": 1000}]}) == Rollout()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("must be an object", []),
        (r"\['later'\] is nothing this daemon can follow", {"later": 1}),
        ("maxFailuresPermille: is missing", WAVES),
        ("maxFailuresPermille: is missing", {"canary": {"groups": ["lab"]}}),
        ("maxFailuresPermille: must be", {"maxFailuresPermille": 0}),
        ("maxFailuresPermille: must be", {"maxFailuresPermille": True}),
        ("waves: must be a list of 1 to 16", FAILS | {"waves": []}),
        ("waves: must be a list of 1 to 16", FAILS | {"waves": {}}),
        ("waves: must be an object", FAILS | {"waves": [5]}),
        ("waves: .*'soak'", FAILS | {"waves": [{"permille": 1000, "soak": 1}]}),
        ("waves.permille: must be", FAILS | {"waves": [{"permille": 1001}]}),
        ("waves: the last one must reach", FAILS | {"waves": [{"permille": 999}]}),
        ("more devices than the one before", FAILS | {"waves": [{"permille": 1000}] * 2}),
        ("has no soakMinutes", FAILS | {"waves": [{"permille": 1000, "soakMinutes": 1}]}),
        ("waves.soakMinutes: must be", FAILS | {"waves": [{"permille": 5, "soakMinutes": -1}]}),
        ("canary.groups: must be a list", FAILS | {"canary": {}}),
        ("canary.groups: must be texts", FAILS | {"canary": {"groups": [1]}}),
        ("canary.groups: each must match", FAILS | {"canary": {"groups": ["Lab 1"]}}),
        ("canary.groups: names a group twice", FAILS | {"canary": {"groups": ["a", "a"]}}),
        ("canary.soakMinutes: must be", FAILS | {"canary": {"groups": ["a"], "soakMinutes": "1"}}),
        ("windows: one is no window", {"windows": ["at night"]}),
        ("windows: must be texts", {"windows": [5]}),
        ("deadline: must be", {"deadline": 1.5}),
        ("maxConcurrent: must be", {"maxConcurrent": 0}),
    ],
)
def test_what_cannot_be_followed_is_named(where: str, said: Any) -> None:
    with pytest.raises(ValueError, match=where):
        parse_rollout(said)
