"""Whoever can write into the repository's directory must not get anything signed by that."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pupd.errors import MetadataError, SignatureError, UpdateError, UsageError
from p2pupd.publisher.authority import refresh, rotate
from p2pupd.publisher.proof import load_proven
from tests.publishing import DAY, Publisher

Step = Callable[[Publisher], object]


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    publisher = Publisher(tmp_path)
    publisher.add(1)
    rotate(publisher.directory, "root", None, publisher.signing(), publisher.sealer)
    return publisher


def tamper(publisher: Publisher, name: str) -> None:
    """Let it expire later: the smallest lie."""
    path = publisher.directory / "metadata" / name
    value = json.loads(path.read_bytes())
    value["signed"]["expires"] = "2039-01-01T00:00:00Z"
    path.write_text(json.dumps(value))


def turn(role: str) -> Step:
    return lambda it: rotate(it.directory, role, None, it.signing(DAY), it.sealer)


@pytest.mark.parametrize(
    "step",
    [
        lambda it: it.add(2),
        lambda it: refresh(it.directory, it.signing(DAY)),
        turn("timestamp"),
        turn("root"),
        turn("gateway"),
    ],
    ids=["add", "refresh", "rotate-timestamp", "rotate-root", "rotate-line"],
)
@pytest.mark.parametrize(
    "name",
    [
        "2.gateway.json",
        "1.targets.json",
        "2.snapshot.json",
        "timestamp.json",
        "2.root.json",
        "1.root.json",
    ],
)
def test_nothing_is_signed_on_top_of_tampered_metadata(
    publisher: Publisher, name: str, step: Step
) -> None:
    tamper(publisher, name)
    before = {each: each.read_bytes() for each in (publisher.directory / "metadata").iterdir()}
    with pytest.raises(UpdateError) as caught:
        step(publisher)
    assert isinstance(caught.value, SignatureError) or caught.value.reason == "another-fleet"
    after = {each: each.read_bytes() for each in (publisher.directory / "metadata").iterdir()}
    assert after == before


def test_an_old_line_under_a_new_name_is_noticed(publisher: Publisher) -> None:
    metadata = publisher.directory / "metadata"
    shutil.copy(metadata / "1.gateway.json", metadata / "2.gateway.json")
    with pytest.raises(MetadataError, match=r"2\.gateway\.json claims to be version 1"):
        publisher.add(2)


def test_another_line_of_the_same_version_is_noticed(publisher: Publisher) -> None:
    repository = publisher.read()
    line = repository.lines["gateway"]
    line.signed.unrecognized_fields["x-else"] = 1
    keyid = next(iter(line.signatures))
    line.sign(publisher.signing().ring.open([keyid], least=1, role="gateway")[0])
    (repository.metadata_directory / "2.gateway.json").write_bytes(line.to_bytes())
    with pytest.raises(SignatureError, match=r"not what was signed last.*backup"):
        publisher.add(2)


def test_a_root_that_is_none_is_noticed(publisher: Publisher) -> None:
    metadata = publisher.directory / "metadata"
    (publisher.keys / "root.json").unlink()
    for other in ("2.root.json", "1.targets.json"):
        shutil.copy(metadata / other, metadata / "1.root.json")
        with pytest.raises(SignatureError, match=r"1\.root\.json is no root of version 1"):
            publisher.add(2)


def test_keys_sign_for_their_own_fleet_only(publisher: Publisher, tmp_path: Path) -> None:
    stranger = Publisher(tmp_path / "stranger")
    publisher.directory = stranger.directory
    with pytest.raises(UsageError, match="keys of another fleet") as caught:
        publisher.add(2)
    assert caught.value.reason == "another-fleet"


def test_without_an_anchor_the_first_root_counts(publisher: Publisher) -> None:
    (publisher.keys / "root.json").unlink()
    publisher.add(2)
    assert load_proven(publisher.directory, [publisher.keys]).root.signed.version == 2
