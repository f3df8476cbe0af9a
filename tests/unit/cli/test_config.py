"""`config show`, `check` and `reference`."""

import json
from pathlib import Path

import pytest

from p2pupd.cli.app import run
from p2pupd.config.reference import page

Said = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text('[device]\nrole = "seed"\nhardware = ["a", "b"]\n[media]\nremovable = false\n')
    return str(path)


def test_show_tells_every_value_and_where_it_came_from(file: str, capsys: Said) -> None:
    assert run(["config", "show", "--config", file, "--set", "store.quota=1M"]) == 0
    lines = dict(line.split("  # ") for line in capsys.readouterr().out.splitlines())
    shown = {key.strip(): origin for key, origin in lines.items()}
    assert shown['device.role = "seed"'] == file
    assert shown['device.hardware = ["a", "b"]'] == file
    assert shown["media.removable = false"] == file
    assert shown["store.quota = 1048576"] == "--set"
    assert shown['install.component = ""'] == "default"


def test_show_gives_the_same_to_programs(file: str, capsys: Said) -> None:
    assert run(["config", "show", "--config", file, "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["device.hardware"] == {
        "key": "device.hardware",
        "value": ["a", "b"],
        "origin": file,
    }
    assert rows["install.slot_a"]["value"] == ""


def test_check_says_so_when_all_is_well(file: str, tmp_path: Path, capsys: Said) -> None:
    assert run(["config", "check", "--config", file, "--state-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said == f"the configuration is valid; control socket {tmp_path}/control.sock\n"


def test_check_also_looks_at_what_belongs_together(file: str, capsys: Said) -> None:
    assert run(["config", "check", "--config", file, "--set", "install.component=os"]) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"p2pupd: install.{key} is not set: give the block device or the file of the slot"
        for key in ("slot_a", "slot_b")
    ]


def test_reference_prints_the_page(capsys: Said) -> None:
    assert run(["config", "reference"]) == 0
    assert capsys.readouterr().out == page()
