"""What a probe of multicast means: pure cases here, real networks in tests/integration."""

import pytest

from p2pupd.cli.network_examination import judge
from p2pupd.discovery.interfaces import LocalAddress
from p2pupd.discovery.reach import Reach

HERE = LocalAddress("eth0", 2, "192.0.2.2", 24, 0)
SOMEBODY = frozenset({"192.0.2.3"})
STATIC = [{"source": "static"}]


@pytest.mark.parametrize(
    ("reach", "peers", "verdict", "says", "advice"),
    [
        (Reach(echoed=True, heard=SOMEBODY), [], "ok", "1 other host(s) heard", ""),
        (
            Reach(error="Network is unreachable"),
            [],
            "fail",
            "cannot ask: Network is unreachable",
            "no multicast route: ip route add 224.0.0.0/4 dev eth0",
        ),
        (Reach(error="Operation not permitted"), [], "fail", "cannot ask", "firewall"),
        (Reach(), [], "fail", "not even our own question comes back", "firewall"),
        (
            Reach(echoed=True, answered=SOMEBODY),
            [],
            "warn",
            "IGMP snooping without a querier suspected",
            "querier",
        ),
        (Reach(echoed=True), STATIC, "warn", "1 neighbour(s) are known otherwise", "isolation"),
        (Reach(echoed=True), [{"source": "mdns"}], "warn", "nobody is heard: no", "two devices"),
    ],
)
def test_what_came_back_is_judged(
    reach: Reach, peers: list[dict[str, str]], verdict: str, says: str, advice: str
) -> None:
    found = judge(HERE, reach, peers)
    assert found.check == "multicast eth0"
    assert found.verdict == verdict
    assert says in found.says
    assert advice in found.advice
