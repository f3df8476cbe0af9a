import json
from pathlib import Path

import pytest

from p2pupd.errors import BootControlError
from p2pupd.install.bootloaders import statefile
from p2pupd.install.bootloaders.statefile import BootState, StateFileBootControl


def test_power_on_counts_a_try_and_writes_down_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "boot.json"
    path.write_text('{"primary": "A", "booted": "A", "armed": "B", "tries_left": 1}')
    assert statefile.main([str(path)]) == 0
    assert capsys.readouterr().out == "B\n"
    assert statefile.load(path, "A") == BootState("A", "B", "B", 0, 1)
    assert statefile.main([str(path)]) == 0
    assert capsys.readouterr().out == "A\n"
    assert statefile.load(path, "A") == BootState("A", "A", "B", 0, 2)


def test_missing_file_is_made_with_the_given_slot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert statefile.main([str(tmp_path / "boot.json"), "B"]) == 0
    assert capsys.readouterr().out == "B\n"


@pytest.mark.parametrize("arguments", [[], ["f", "C"], ["f", "A", "more"]])
def test_wrong_usage_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert statefile.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"primary": "C", "booted": "A"}',
        '{"primary": null, "booted": "A"}',
        '{"primary": "A", "booted": "A", "armed": "x"}',
        '{"primary": "A", "booted": "A", "tries_left": -1}',
        '{"primary": "A", "booted": "A", "boots": true}',
        '{"primary": "A", "booted": "A", "more": 1}',
    ],
)
def test_damaged_file_says_what_to_write(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "boot.json"
    path.write_text(content)
    assert statefile.main([str(path)]) == 1
    assert f"{path} is damaged" in capsys.readouterr().err
    assert path.read_text() == content


def test_the_advice_for_a_damaged_file_works(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"
    path.write_text("torn")
    with pytest.raises(BootControlError) as caught:
        statefile.load(path, "A")
    advice = caught.value.message
    path.write_text(advice[advice.index("{") : advice.index("}") + 1])
    assert json.loads(path.read_text())["booted"] == "A"
    assert statefile.load(path, "B") == BootState("A", "A")


async def test_file_that_is_too_large_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boot.json"
    path.write_bytes(bytes(5000))
    with pytest.raises(BootControlError, match="larger than"):
        await StateFileBootControl(path).read()
    with pytest.raises(BootControlError, match="gone"):
        await StateFileBootControl(tmp_path / "gone" / "boot.json").read()
