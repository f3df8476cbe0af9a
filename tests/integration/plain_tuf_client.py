"""A TUF client that knows nothing of p2pupd: python-tuf's own updater. Run as a program.

Arguments: the anchor, the URL of a repository, a directory to work in, names of targets. Prints
the SHA-256 of each target as JSON. Fails when a module of p2pupd was imported.
"""

import hashlib
import json
import sys
from pathlib import Path

from tuf.ngclient import Updater


def main(anchor: str, url: str, work: str, *targets: str) -> None:
    place = Path(work)
    for name in ("metadata", "downloads"):
        (place / name).mkdir(parents=True, exist_ok=True)
    updater = Updater(
        str(place / "metadata"),
        f"{url}/metadata/",
        str(place / "downloads"),
        f"{url}/targets/",
        bootstrap=Path(anchor).read_bytes(),
    )
    updater.refresh()
    found = {}
    for target in targets:
        info = updater.get_targetinfo(target)
        assert info is not None, target
        content = Path(updater.download_target(info)).read_bytes()
        found[target] = hashlib.sha256(content).hexdigest()
    assert not [name for name in sys.modules if name.split(".")[0] in ("p2pupd", "nacl")]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
