"""Whatever the engine can hold, the journal gives back."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.journal.codec import release_from_json, release_to_json
from p2pupd.journal.settings import JournalSettings
from p2pupd.journal.sqlite import SqliteJournal
from p2pupd.model.deployment import Deployment, Phase
from p2pupd.model.ids import ComponentId, DeploymentId, ManifestDigest, Sha256
from p2pupd.model.release import (
    Artifact,
    ArtifactFormat,
    Dependency,
    Image,
    InstallerKind,
    Release,
    UpdateKind,
    Urgency,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
COUNTS = st.integers(0, 2**53)
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: Sha256(f"{number:064x}"))
COMPONENTS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True).map(ComponentId)
RELEASES = st.builds(
    Release,
    target=TEXT,
    component=COMPONENTS,
    version=TEXT,
    release=COUNTS,
    kind=st.sampled_from(UpdateKind),
    hardware_ids=st.lists(TEXT, max_size=3).map(tuple),
    installer=st.sampled_from(InstallerKind),
    format=st.sampled_from(ArtifactFormat),
    artifact=st.builds(
        Artifact, length=COUNTS, sha256=DIGESTS, pieces_root=DIGESTS, piece_length=COUNTS
    ),
    image=st.builds(Image, length=COUNTS, sha256=DIGESTS),
    min_release=st.none() | COUNTS,
    depends_on=st.lists(
        st.builds(Dependency, component=COMPONENTS, min_release=COUNTS), max_size=3
    ).map(tuple),
    conflicts=st.lists(COMPONENTS, max_size=3).map(tuple),
    rollback_to=st.none() | COUNTS,
    rollback_from=st.lists(COUNTS, max_size=3).map(tuple),
    security_floor=COUNTS,
    urgency=st.sampled_from(Urgency),
    notes=TEXT,
)
TIMES = st.floats(0, 1e12)
DEPLOYMENTS = st.builds(
    Deployment,
    id=st.integers(1, 2**62).map(lambda number: DeploymentId(str(number))),
    phase=st.sampled_from(Phase),
    source=TEXT,
    manifest=DIGESTS.map(ManifestDigest),
    started=TIMES,
    changed=TIMES,
    release=st.none() | RELEASES,
    attempt=st.integers(0, 2**31),
    slot=st.none() | TEXT,
    previous_slot=st.none() | TEXT,
    healthy=st.booleans(),
    reason=TEXT,
    detail=TEXT,
    code=st.integers(0, 255),
)


@given(RELEASES)
def test_a_release_survives_as_text(release: Release) -> None:
    assert release_from_json(release_to_json(release)) == release


@given(TEXT | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_text_that_is_no_release_is_only_ever_a_value_error(text: str) -> None:
    try:
        release_from_json(text)
    except ValueError:
        return
    raise AssertionError(text)


@given(st.lists(DEPLOYMENTS, max_size=5, unique_by=lambda each: each.id))
def test_a_deployment_survives_in_the_journal(deployments: list[Deployment]) -> None:
    with TemporaryDirectory() as directory:
        journal = SqliteJournal(Path(directory) / "journal.sqlite", JournalSettings())
        for each in deployments:
            journal.record(each)
        newest_first = sorted(deployments, key=lambda each: -int(each.id))
        assert journal.deployments(10) == tuple(newest_first)
        journal.close()
