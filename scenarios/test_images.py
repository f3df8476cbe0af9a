"""The script that builds and measures images: its own parts, and the real tools on small files."""

import random
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from scenarios.images import measure, tables, tree
from scenarios.images.build import image_of
from scenarios.images.commands import ImagesError, need, run
from scenarios.images.contenders import Casync, Contender, Zchunk, Zsync
from scenarios.images.formats import BY_NAME
from scenarios.images.measure import FIRST, Measured
from scenarios.images.product import PRODUCT, P2pupd
from scenarios.images.releases import EPOCH, RELEASES, UPDATES
from scenarios.images.wire import ranges, served
from tests.support import ROOT, needs_root, needs_tool

KIB = 1 << 10
SAID = """\
https://a.example/debian bookworm main Debian Packages
https://a.example/debian bookworm main Debian Translations
https://a.example/security bookworm-security main Debian Packages
https://a.example/tools nodistro main Somebody Packages
https://a.example/tools bookworm main Somebody Packages
"""


def test_the_mirror_is_the_one_of_this_machine_and_only_debians() -> None:
    suites = [(each.uri, each.suite) for each in tree.chosen(SAID)]
    assert suites == [
        ("https://a.example/debian", "bookworm"),
        ("https://a.example/security", "bookworm-security"),
    ]


def test_a_machine_without_debians_sources_is_told_what_to_do() -> None:
    with pytest.raises(ImagesError, match="add it to its sources"):
        tree.chosen(SAID.splitlines()[3])


def test_each_update_leads_from_a_release_to_the_next() -> None:
    assert UPDATES == (("base", "small"), ("small", "medium"), ("medium", "large"))
    assert ["update" in line for line in RELEASES[1].commands()].count(True) == 1


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(ImagesError, match="`sh -c 'echo worse >&2; exit 3'` ended with 3: worse"):
        run(["sh", "-c", "echo worse >&2; exit 3"])


def test_a_program_that_is_lacking_is_named() -> None:
    with pytest.raises(ImagesError, match="flying needs a-broom, which is not installed"):
        need(["a-broom", "sh"], "flying")


def test_young_files_get_the_time_of_the_release_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    for name, age in (("young", EPOCH + 5), ("old", EPOCH - 5)):
        (tmp_path / name).touch()
        run(["touch", "--date", f"@{age}", tmp_path / name])
    tree.settle(tmp_path)
    assert (tmp_path / "young").stat().st_mtime == EPOCH
    assert (tmp_path / "old").stat().st_mtime == EPOCH - 5


def _files(directory: Path) -> None:
    (directory / "etc").mkdir(parents=True)
    for name, text in (("a", "one"), ("etc/b", "two" * 9000), ("c", "three")):
        (directory / name).write_text(text)
        run(["touch", "--date", f"@{EPOCH}", directory / name])
    run(["touch", "--date", f"@{EPOCH}", directory / "etc", directory])


@needs_root
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ext4", marks=needs_tool("mke2fs")),
        pytest.param("squashfs", marks=needs_tool("mksquashfs")),
        pytest.param("erofs", marks=needs_tool("mkfs.erofs")),
        pytest.param("tar", marks=needs_tool("tar")),
        pytest.param("tar.zst", marks=needs_tool("zstd")),
    ],
)
def test_equal_files_become_equal_images(tmp_path: Path, name: str) -> None:
    form = BY_NAME[name]
    made = []
    for which in ("here", "there"):
        _files(tmp_path / which / "tree")
        archive = tmp_path / which / "tree.tar"
        tree.save(tmp_path / which / "tree", archive)
        image = tmp_path / which / f"image.{name}"
        form.make(tmp_path / which / "tree", archive, image)
        made.append(image)
    assert made[0].read_bytes() == made[1].read_bytes()


@needs_root
def test_a_saved_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    _files(tmp_path / "tree")
    tree.save(tmp_path / "tree", tmp_path / "tree.tar")
    tree.restore(tmp_path / "tree.tar", tmp_path / "again")
    assert (tmp_path / "again/etc/b").read_text() == "two" * 9000
    tree.save(tmp_path / "again", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "tree.tar").read_bytes()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, None),
        ("bytes=0-9", [(0, 10)]),
        ("bytes=90-", [(90, 10)]),
        ("bytes=5-5, 90-200", [(5, 1), (90, 10)]),
    ],
)
def test_ranges_are_read_as_http_writes_them(
    said: str | None, found: list[tuple[int, int]] | None
) -> None:
    assert ranges(said, 100) == found


@pytest.mark.parametrize("said", ["bytes=100-", "bytes=9-3", "bytes=-5", "chunks=1-2"])
def test_a_range_that_cannot_be_served_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ranges(said, 100)


def test_the_web_server_counts_headers_and_bodies(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(100)))
    with served(tmp_path) as server:
        asked = urllib.request.Request(f"{server.url}/file", headers={"Range": "bytes=2-3,7-8"})
        with urllib.request.urlopen(asked) as answer:
            body = answer.read()
        assert b"\x02\x03\r\n" in body
        assert b"\x07\x08\r\n" in body
        assert len(body) < server.sent < len(body) + 300
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{server.url}/nothing")


def _chain(directory: Path) -> int:
    """Images of 256 KiB, each with 16 KiB changed in the one before; what changes in each."""
    noise = random.Random(1)
    content = bytearray(noise.randbytes(256 * KIB))
    for release in RELEASES:
        image = image_of(directory, release.name, "ext4")
        image.parent.mkdir()
        image.write_bytes(content)
        content[64 * KIB : 80 * KIB] = noise.randbytes(16 * KIB)
    return 16 * KIB


@pytest.mark.parametrize(
    "contender",
    [
        pytest.param(Casync("casync 16K", "4096:16384:65536"), marks=needs_tool("casync")),
        pytest.param(Zchunk(), marks=needs_tool("zck")),
        pytest.param(Zsync("zsync", packed=False), marks=needs_tool("zsync")),
        pytest.param(Zsync("zsync -z", packed=True), marks=needs_tool("zsync")),
        pytest.param(P2pupd()),
    ],
    ids=lambda each: each.name,
)
def test_every_contender_brings_what_changed_and_little_more(
    tmp_path: Path, contender: Contender
) -> None:
    changed = _chain(tmp_path)
    found = measure.measure(tmp_path, "ext4", contender, lambda said: None)
    assert [each.update for each in found] == [FIRST, "small", "medium", "large"]
    assert 256 * KIB <= found[0].wire < 272 * KIB
    for each in found[1:]:
        assert changed <= each.wire < 8 * changed
        assert each.contender == contender.name


def test_an_image_that_is_lacking_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"image\.ext4 is not there: build it first"):
        measure.measure(tmp_path, "ext4", P2pupd(), lambda said: None)


def test_new_figures_replace_those_of_the_same_thing(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    measure.write(
        path, [Measured("tar", "small", "zsync", 100, 9), Measured("tar", "small", "a", 100, 1)]
    )
    merged = measure.write(path, [Measured("tar", "small", "zsync", 100, 8)])
    assert [(each.contender, each.wire) for each in merged] == [("zsync", 8), ("a", 1)]
    assert measure.read(path) == merged
    path.write_text('[{"what": 1}]')
    with pytest.raises(ImagesError, match="is not what measure writes"):
        measure.read(path)


def test_the_table_compares_with_the_best_of_the_others() -> None:
    wires = {PRODUCT: 6, "casync": 10, "zsync": 8}
    lines = list(
        tables.tables(
            Measured("tar", update, name, 100, wire * times)
            for name, wire in wires.items()
            for update, times in (("small", 1), ("medium", 2))
        )
    )
    assert "| **p2pupd** | - | 6.00% | 12.00% | - | 9.00% |" in lines
    assert "| x the best of the others | - | 0.75 | 0.75 | - | 0.75 |" in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "there", "--formats", "floppy"), "floppy is none of ext4, squashfs"),
        (("measure", "there", "--with", "pigeons"), "pigeons is none of p2pupd, casync"),
        (("measure", "/nonexistent"), "does not exist"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_a_line(
    arguments: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, "-m", "scenarios.images", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
