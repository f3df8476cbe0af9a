"""Tokens, tries and sessions: who is an operator, for how long, and who has to wait."""

from pathlib import Path

import pytest

from p2pupd.api.doors import group_number, user_number
from p2pupd.api.tokens import (
    ADDRESSES,
    IDLE,
    SECONDS_A_TRY,
    SESSIONS,
    TRIES,
    Sessions,
    Token,
    read_token,
)
from p2pupd.errors import ConfigError

TOKEN = "0123456789abcdef" * 2


class Hands:
    """Of a clock that is turned by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def read(self) -> float:
        return self.now


def _file(tmp_path: Path, content: str, mode: int = 0o600) -> Path:
    path = tmp_path / "control.token"
    path.touch(mode)
    path.write_text(content, "utf-8")
    path.chmod(mode)
    return path


def test_a_token_is_read_without_its_line_end(tmp_path: Path) -> None:
    assert read_token(_file(tmp_path, f"{TOKEN}\n")) == TOKEN
    assert read_token(_file(tmp_path, TOKEN, 0o640)) == TOKEN


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602, 0o604])
def test_a_token_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(_file(tmp_path, TOKEN, mode))


@pytest.mark.parametrize(
    "content", ["", "short", "x" * 257, "a space " * 8, "ümlaut" * 8, f"{TOKEN}\n{TOKEN}"]
)
def test_what_is_no_token_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError, match=r"control.token_file.*make one by"):
        read_token(_file(tmp_path, content))


def test_a_token_that_is_not_there_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make one by"):
        read_token(tmp_path / "missing")
    with pytest.raises(ConfigError, match=r"control.token_file"):
        read_token(tmp_path)


def test_only_the_token_itself_proves_anything() -> None:
    token = Token(TOKEN, Hands().read)
    assert token.proves(TOKEN, "here")
    for wrong in ("", TOKEN[:-1], f"{TOKEN}0", "ä", "\udc80"):
        assert not token.proves(wrong, "here")


def test_who_guesses_waits_and_others_do_not() -> None:
    hands = Hands()
    token = Token(TOKEN, hands.read)
    for _ in range(TRIES):
        assert token.wait("there") == 0
        assert not token.proves("guess", "there")
    assert 0 < token.wait("there") <= SECONDS_A_TRY + 1
    assert token.wait("here") == 0
    hands.now += SECONDS_A_TRY
    assert token.wait("there") == 0
    assert token.proves(TOKEN, "there")
    assert token.wait("there") == 0


def test_many_guessers_cost_no_memory() -> None:
    token = Token(TOKEN, Hands().read)
    for number in range(ADDRESSES + 10):
        for _ in range(TRIES):
            token.proves("guess", str(number))
    assert token.wait("0") == 0
    assert token.wait(str(ADDRESSES)) > 0


def test_a_session_is_found_until_it_is_idle_or_ended() -> None:
    hands = Hands()
    sessions = Sessions(hands.read)
    one, other = sessions.begin(), sessions.begin()
    assert one.name != other.name != one.form
    hands.now += IDLE
    assert sessions.find(one.name) is one
    hands.now += 1
    assert sessions.find(other.name) is None
    assert sessions.find(one.name) is one
    sessions.end(one)
    assert sessions.find(one.name) is None
    assert sessions.find("") is None


def test_of_too_many_sessions_the_longest_idle_one_ends() -> None:
    sessions = Sessions(Hands().read)
    first, second = sessions.begin(), sessions.begin()
    for _ in range(SESSIONS - 1):
        sessions.find(first.name)
        sessions.begin()
    assert sessions.find(first.name) is first
    assert sessions.find(second.name) is None


def test_users_and_groups_are_named_or_numbered() -> None:
    assert (user_number("root"), user_number("4711")) == (0, 4711)
    assert (group_number("root"), group_number("4711")) == (0, 4711)
    with pytest.raises(ConfigError, match=r"control.users: there is no user"):
        user_number("nobody-of-that-name")
    with pytest.raises(ConfigError, match=r"control.group: there is no group"):
        group_number("nobody-of-that-name")
