"""What a publisher writes into `custom` is what a device reads."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.errors import MetadataError
from p2pupd.model.ids import COMPONENT_PATTERN, HARDWARE_PATTERN, ComponentId
from p2pupd.model.release import Dependency, InstallerKind, Release, UpdateKind, Urgency
from p2pupd.model.rollout import Rollout, Wave
from p2pupd.trust.manifest import MAX_RELEASE, NOTES_PATTERN, custom_for, parse_custom
from p2pupd.trust.policy import GROUP_PATTERN, MAX_SOAK_MINUTES
from tests.builders import a_pack, a_release

NUMBERS = st.integers(0, MAX_RELEASE)
COMPONENTS = st.from_regex(COMPONENT_PATTERN, fullmatch=True).map(ComponentId)


def tuples(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(of, min_size=least, max_size=4).map(tuple)


SOAKS = st.integers(0, MAX_SOAK_MINUTES)


@st.composite
def policies(draw: st.DrawFn) -> Rollout:
    """Any policy that a signer may ask for."""
    shares = draw(st.lists(st.integers(1, 999), unique=True, max_size=15).map(sorted))
    groups = draw(st.lists(st.from_regex(GROUP_PATTERN, fullmatch=True), unique=True, max_size=4))
    staged = bool(shares or groups)
    limit = st.integers(1, 1000)
    return Rollout(
        waves=(*(Wave(each, draw(SOAKS)) for each in shares), Wave(1000)),
        canary_groups=tuple(groups),
        canary_soak_minutes=draw(SOAKS) if groups else 0,
        max_failures=draw(limit if staged else st.none() | limit),
        windows=draw(
            tuples(st.sampled_from(["22:00-05:00", "Mon-Fri 22:00-24:00", "Sat,Sun 0:00-6:00"]))
        ),
        deadline=draw(st.none() | st.integers(1, MAX_RELEASE)),
        max_concurrent=draw(st.none() | st.integers(1, 1000)),
    )


RELEASES = st.builds(
    replace,
    st.sampled_from((a_release(), a_pack())),
    component=COMPONENTS,
    release=NUMBERS,
    kind=st.sampled_from(UpdateKind),
    installer=st.sampled_from(InstallerKind),
    hardware_ids=tuples(st.from_regex(HARDWARE_PATTERN, fullmatch=True), least=1),
    min_release=st.none() | NUMBERS,
    depends_on=tuples(st.builds(Dependency, COMPONENTS, NUMBERS)),
    conflicts=tuples(COMPONENTS),
    rollback_to=st.none() | NUMBERS,
    rollback_from=tuples(NUMBERS),
    security_floor=NUMBERS,
    urgency=st.sampled_from(Urgency),
    rollout=policies(),
    notes=st.from_regex(NOTES_PATTERN, fullmatch=True),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(RELEASES)
def test_a_release_comes_back(release: Release) -> None:
    artifact = release.artifact
    custom = custom_for(release)
    assert parse_custom(custom, release.target, artifact.length, artifact.sha256) == release


@given(st.sampled_from([*sorted(custom_for(a_pack())), "rollout"]), JSON)
def test_any_value_in_any_field_is_read_or_refused_with_one_error(name: str, value: Any) -> None:
    release = a_pack()
    custom = custom_for(release) | {name: value}
    refusal = ""
    try:
        parse_custom(custom, release.target, release.artifact.length, release.artifact.sha256)
    except MetadataError as error:
        refusal = str(error)
    assert refusal == "" or f"custom.{name}" in refusal
