import os
from pathlib import Path

import pytest

from p2pupd.cli.app import run
from p2pupd.errors import NothingToDo, SourceGone, SpaceError, TrustError, UnsafeMedia
from p2pupd.feeds.results import DIRECTORY, MAX_FILES, read_results, write_results
from p2pupd.model.ids import Realm
from p2pupd.model.logbook import LogLine
from p2pupd.publisher.results import results
from p2pupd.wire.results import Results, encode
from p2pupd.wire.sync import Item
from tests.saying import NOW, REALM, device, log_of, signed

ME = device(1).id


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "p2pupd").mkdir()
    return tmp_path


def _file(*raw: bytes, age: int = 0) -> bytes:
    return encode(Results(NOW, tuple(Item(each, age) for each in raw)))


def test_results_are_written_beside_the_repository_and_read_at_the_office(stick: Path) -> None:
    write_results(stick, REALM, ME, _file(signed(1), signed(2, sequence=1)))
    write_results(stick, REALM, device(2).id, _file(signed(2, sequence=5, site="Werk 3"), age=60))
    found = results(stick, NOW + 5.0)
    told = {each["id"]: each for each in found["floors"][REALM]}
    assert told[device(2).id]["sequence"] == 5
    assert told[device(2).id]["last_sign"] == NOW - 60
    assert found["dropped"] == {}
    assert os.listdir(stick / "p2pupd") == []


def test_each_devices_newest_lines_are_read_and_those_of_others_are_dropped(stick: Path) -> None:
    old, new = (log_of(2, at, LogLine(at, "order.taken", (("order", "hold"),))) for at in (5, 9))
    forged = new[:-1] + b"\0"
    other = log_of(2, 99, realm=Realm("f" * 16))
    items = (Item(signed(2), 0),)
    write_results(stick, REALM, ME, encode(Results(NOW, items, (new, forged, signed(2)))))
    write_results(stick, REALM, device(3).id, encode(Results(NOW, items, (old, other))))
    found = results(stick, NOW)
    line = {"at": 9, "event": "order.taken", "fields": {"order": "hold"}}
    assert found["logs"] == {REALM: {device(2).id: {"at": 9, "lines": [line]}}}
    assert found["dropped"] == {"forged": 1, "malformed": 1, "other-realm": 1}


def test_the_last_writing_of_a_device_replaces_its_first(stick: Path) -> None:
    write_results(stick, REALM, ME, b"first")
    write_results(stick, REALM, ME, b"second")
    assert read_results(stick, 100) == [(REALM, b"second")]


def test_what_is_not_signed_as_it_must_be_is_left_out_and_counted(stick: Path) -> None:
    good = signed(1)
    write_results(stick, REALM, ME, _file(good, good[:-1] + b"\0", b"x"))
    write_results(stick, REALM, device(2).id, b"garbage")
    found = results(stick, NOW)
    assert [each["id"] for each in found["floors"][REALM]] == [ME]
    assert found["dropped"] == {"forged": 1, "malformed": 2}
    with pytest.raises(TrustError):
        results(stick, NOW - 10 * 24 * 3600.0)


def test_results_of_another_realm_do_not_count_under_this_one(stick: Path) -> None:
    (stick / DIRECTORY / ("f" * 16)).mkdir(parents=True)
    (stick / DIRECTORY / ("f" * 16) / "x.results").write_bytes(_file(signed(1)))
    (stick / DIRECTORY / "\x1b[2J").mkdir()
    with pytest.raises(TrustError, match="other-realm"):
        results(stick, NOW)


def test_nothing_is_written_where_there_is_no_repository_or_a_link_in_the_way(
    stick: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(SourceGone):
        write_results(elsewhere, REALM, ME, b"x")
    (stick / DIRECTORY).symlink_to(elsewhere)
    with pytest.raises(UnsafeMedia):
        write_results(stick, REALM, ME, b"x")
    assert os.listdir(elsewhere) == []


def test_a_stick_takes_results_of_so_many_devices(stick: Path) -> None:
    directory = stick / DIRECTORY / REALM
    directory.mkdir(parents=True)
    for number in range(MAX_FILES):
        (directory / f"{number}.results").touch()
    with pytest.raises(SpaceError):
        write_results(stick, REALM, ME, b"x")


def test_what_is_no_plain_file_of_a_lawful_size_is_not_read(stick: Path) -> None:
    directory = stick / DIRECTORY / REALM
    directory.mkdir(parents=True)
    (directory / "link.results").symlink_to("/etc/passwd")
    (directory / "large.results").write_bytes(b"x" * 101)
    (directory / "other.txt").write_bytes(b"x")
    os.mkfifo(directory / "fifo.results")
    assert read_results(stick, 100) == []


def test_a_stick_without_results_says_so(stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NothingToDo):
        read_results(stick, 100)
    assert run(["repo", "show", "--results", str(stick)]) == 4
    assert "there are no results" in capsys.readouterr().err


def test_the_office_sees_a_table(stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (log_of(1, NOW, LogLine(NOW, "daemon.ready"), LogLine(NOW, "order.taken")),)
    write_results(stick, REALM, ME, encode(Results(NOW, (Item(signed(1, at=0), 0),), lines)))
    write_results(stick, REALM, device(2).id, _file(b"x"))
    assert run(["repo", "show", "--results", str(stick)]) == 0
    shown = capsys.readouterr()
    assert f"realm {REALM}" in shown.out
    assert "1 device(s)" in shown.out
    assert "logs of 1 of 1 device(s)" in shown.out
    assert f"{ME[:14]}  " in shown.out
    assert shown.out.endswith("order.taken\n")
    assert "left out: 1 malformed" in shown.err
    assert run(["repo", "show", "--results", "--json", str(stick)]) == 0
    assert ME in capsys.readouterr().out
