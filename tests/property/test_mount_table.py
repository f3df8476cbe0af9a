"""Any mount table is read as the kernel meant it; no bytes at all make the reader fail."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.host.mounts import Mount, parse

ESCAPED = b" \t\n\\#"
NAMES = st.binary(min_size=1, max_size=30).filter(lambda raw: b"\0" not in raw and b"/" not in raw)
PATHS = st.lists(NAMES.filter(lambda raw: raw not in (b".", b"..")), max_size=4).map(
    lambda parts: b"/" + b"/".join(parts)
)
OPTIONS = st.lists(st.sampled_from([b"rw", b"ro", b"noatime", b"mode=755"]), max_size=3)
TAGS = st.lists(st.sampled_from([b"shared:1", b"master:7", b"unbindable"]), max_size=3)


def escaped(raw: bytes) -> bytes:
    """As the kernel's seq_path writes it."""
    return b"".join(b"\\%03o" % each if each in ESCAPED else bytes([each]) for each in raw)


@given(
    st.integers(0, 2**31),
    st.tuples(PATHS, PATHS),
    st.tuples(OPTIONS, OPTIONS),
    TAGS,
    st.tuples(NAMES, NAMES),
)
def test_what_the_kernel_writes_is_read_back(
    number: int,
    paths: tuple[bytes, bytes],
    both_options: tuple[list[bytes], list[bytes]],
    tags: list[bytes],
    names: tuple[bytes, bytes],
) -> None:
    (root, point), (options, super_options), (kind, source) = paths, both_options, names
    fields = [
        b"%d" % number,
        b"1",
        b"8:1",
        escaped(root),
        escaped(point),
        b",".join(options),
        *tags,
        b"-",
        escaped(kind),
        escaped(source),
        b",".join(super_options),
    ]
    assert parse(b" ".join(fields) + b"\n") == (
        Mount(
            number,
            1,
            "8:1",
            os.fsdecode(root),
            Path(os.fsdecode(point)),
            tuple(map(os.fsdecode, options)),
            os.fsdecode(kind),
            os.fsdecode(source),
            tuple(map(os.fsdecode, super_options)),
        ),
    )


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(raw: bytes) -> None:
    for mount in parse(raw):
        assert isinstance(mount.point, Path)
