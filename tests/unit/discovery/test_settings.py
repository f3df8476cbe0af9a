from dataclasses import fields

import pytest

from p2pupd.discovery.settings import DiscoverySettings, split_peer
from p2pupd.model.setting import CHECK


@pytest.mark.parametrize(
    ("text", "peer"),
    [("seed.local:7830", ("seed.local", 7830)), ("[fd00::1]:1", ("fd00::1", 1))],
)
def test_a_peer_is_host_and_port(text: str, peer: tuple[str, int]) -> None:
    assert split_peer(text) == peer


@pytest.mark.parametrize(
    "text", ["seed", ":7830", "seed:", "seed:0", "seed:65536", "seed:x", "a:²"]
)
def test_anything_else_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port|has no port") as refused:
        split_peer(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "good", "bad", "says"),
    [
        ("networks", ("10.0.0.0/8", "fd00::/8"), ("10.0.0.1/8",), "has host bits set"),
        ("peers", ("seed:7830",), ("seed",), "is not host:port"),
    ],
)
def test_lists_are_checked_when_the_configuration_is_read(
    name: str, good: tuple[str, ...], bad: tuple[str, ...], says: str
) -> None:
    (check,) = (field.metadata[CHECK] for field in fields(DiscoverySettings) if field.name == name)

    assert check(good) is None
    assert says in check(bad)
