"""A swarm without BitTorrent in a process of its own, to be killed. It prints how far it is.

python -m tests.http_node DIRECTORY ARTIFACT.json HOST PORT
"""

import asyncio
import json
import sys
from pathlib import Path

from p2pupd.model.device import TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from tests.http_swarming import http_party


def tell(report: TransferProgress) -> None:
    print(report.done, flush=True)


async def main(directory: str, described: str, host: str, port: str) -> None:
    artifact = Artifact(**json.loads(Path(described).read_text()))
    async with http_party(Path(directory)) as party:
        party.swarm.set_peers([SwarmPeer(DeviceId(host), host, 0, True, int(port))])
        await party.swarm.fetch(artifact, party.directory, tell)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
