"""One swarm as a process of its own, to be killed or measured: `python -m tests.swarm_node ...`.

It reads one line from standard input before it starts to fetch, and prints `LISTENING port`,
`READY`, `PROGRESS done`, `DONE received sent wasted` as lines. It goes on sharing until it is
ended.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from p2pupd.errors import SwarmError
from p2pupd.model.device import TransferProgress
from p2pupd.model.ids import DeviceId
from p2pupd.model.release import Artifact
from p2pupd.swarm.interface import SwarmPeer
from p2pupd.swarm.session import LibtorrentSwarm
from p2pupd.swarm.settings import SwarmSettings


def say(*words: object) -> None:
    print(*words, flush=True)


def peers_of(text: str, own: str) -> list[SwarmPeer]:
    """`address:port` words; the first is the seed, and everyone's id is its address."""
    words = [word.rsplit(":", 1) for word in text.split(",") if word]
    return [
        SwarmPeer(DeviceId(host), host, int(port), number == 0)
        for number, (host, port) in enumerate(words)
        if host != own
    ]


async def main(arguments: argparse.Namespace) -> None:
    settings = SwarmSettings(interfaces=(arguments.address,), port=arguments.port)
    swarm = LibtorrentSwarm(DeviceId(arguments.address), settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(swarm.run())
        say("LISTENING", await swarm.listening())
        if not arguments.share:
            say("READY")
            await asyncio.to_thread(sys.stdin.readline)
        artifact = Artifact(**json.loads(arguments.artifact.read_text()))
        swarm.set_peers(peers_of(arguments.peers, arguments.address))
        if arguments.share:
            await swarm.share(artifact, arguments.directory)
            say("READY")
        else:
            counts = await swarm.fetch(artifact, arguments.directory, tell)
            say("DONE", counts.received, counts.sent, counts.wasted)


def tell(report: TransferProgress) -> None:
    say("PROGRESS", report.done)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, required=True, help="JSON file of its four values")
    parser.add_argument("--peers", default="", help="address:port,... the first is the seed")
    parser.add_argument("--share", action="store_true")
    try:
        asyncio.run(main(parser.parse_args()))
    except* SwarmError as errors:
        sys.exit(f"{errors.exceptions[0]}")
