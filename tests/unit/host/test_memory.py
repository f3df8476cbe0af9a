import subprocess
import sys

from tests.support import ROOT

PROGRAM = """
from pathlib import Path
import aiohttp.web, libtorrent
from p2pupd.host.memory import give_back, stay_small

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssFile")).split()[1])

stay_small()
before = resident()
give_back()
print(before, resident())
session = libtorrent.session({"listen_interfaces": "127.0.0.1:0"})
print(libtorrent.bdecode(b"d1:ai1ee"))
"""


def test_code_that_only_start_up_ran_leaves_the_memory_and_all_goes_on_working() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True
    )
    sizes, works = done.stdout.splitlines()
    before, after = map(int, sizes.split())
    assert after < before / 2
    assert works == "{b'a': 1}"
