"""Every scenario of the suite runs on namespaces, and on containers: `ground` is either."""

from collections.abc import Iterator

import pytest

from scenarios.lib import engine
from scenarios.lib.containers import Containers, containers
from scenarios.lib.ground import Ground
from scenarios.lib.net import Net, network
from tests.support import needs_root

GROUNDS = [
    pytest.param(network, id=Net.name, marks=needs_root),
    pytest.param(
        containers, id=Containers.name, marks=[engine.needs_engine, pytest.mark.containers]
    ),
]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the image before the clock of a scenario runs. Every worker asks, one of them does."""
    wanted = any(f"[{Containers.name}]" in each.name for each in session.items)
    if wanted and not session.config.option.collectonly and not engine.missing():
        engine.prepare()


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A network for this scenario."""
    with request.param() as made:
        yield made
