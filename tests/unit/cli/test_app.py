"""The command `p2pupd`: what it offers, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import click
import pytest

from p2pupd import __version__, errors
from p2pupd.cli.app import COMMANDS, app, run
from p2pupd.errors import UpdateError
from tests.support import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")


def _kinds(kind: type[UpdateError]) -> list[type[UpdateError]]:
    return [kind, *(deeper for each in kind.__subclasses__() for deeper in _kinds(each))]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"p2pupd, version {__version__}\n"


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in text
    for code in {each.code for each in _kinds(UpdateError)}:
        assert f" {code} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    assert "Example" in capsys.readouterr().out


def _paths(command: click.Command) -> Iterator[click.Path]:
    yield from (each.type for each in command.params if isinstance(each.type, click.Path))
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            deeper = command.get_command(click.Context(command), name)
            assert deeper
            yield from _paths(deeper)


def test_what_cannot_be_read_is_told_by_us_with_its_own_exit_code() -> None:
    """click would end every command with 2."""
    for name in set(COMMANDS) - {"tuf-client"}:
        command = app.get_command(click.Context(app), name)
        assert command
        assert not any(each.readable for each in _paths(command)), name


def test_a_repository_that_cannot_be_looked_at_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 300
    for command in (["repo", "show", name], ["repo", "export", ".", "--repo", name]):
        assert run(command) == 1
        assert "cannot read the repository" in capsys.readouterr().err


def test_the_page_tells_every_command_and_exit_code() -> None:
    for name in COMMANDS:
        assert f"`{name}" in PAGE
    for each in _kinds(UpdateError):
        if each.__module__ == errors.__name__:
            assert f"| {each.code} |" in PAGE


def test_a_shell_can_complete_every_command() -> None:
    assert app.list_commands(click.Context(app)) == list(COMMANDS)


def test_an_unknown_command_is_a_mistake_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["updaet"]) == 2
    assert "No such command 'updaet'" in capsys.readouterr().err


def test_an_expected_error_is_told_line_by_line_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["config", "check", "--set", "a.b=1", "--set", "c"]) == 3
    assert capsys.readouterr().err == (
        "p2pupd: --set c: write section.key=value\np2pupd: --set: a.b is in no known section\n"
    )


def test_a_daemon_that_does_not_answer_has_its_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["status", "--state-dir", str(tmp_path)]) == 5
    assert "is `p2pupd daemon` running" in capsys.readouterr().err


async def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()

    async with await asyncio.start_unix_server(silent, tmp_path / "control.sock"):
        command = [sys.executable, "-m", "p2pupd", "status", "--state-dir", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        await asked.wait()
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
    assert process.returncode == 130
    assert (output, errors.strip()) == (b"", b"")


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "p2pupd", "config", "reference"]
    ended = subprocess.run(command, stdout=writing, stderr=PIPE, check=False)
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == b""


def test_watching_without_a_terminal_is_refused_instead_of_showing_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["status", "--watch"]) == 2
    assert "--watch needs a terminal" in capsys.readouterr().err
