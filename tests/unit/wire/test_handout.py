"""Numbers of pieces, and words that no piece can be."""

import pytest

from p2pupd.errors import ProtocolError
from p2pupd.wire.handout import NUMBER, Word, decode_number, encode_number


def test_numbers_and_words_are_read_as_they_were_written() -> None:
    for number in (0, 6, *Word):
        raw = encode_number(number)
        assert len(raw) == NUMBER
        assert decode_number(raw, 7) == number
    assert isinstance(decode_number(encode_number(Word.OVER), 7), Word)


def test_a_piece_that_the_artifact_does_not_have_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no piece 7 of 7"):
        decode_number(encode_number(7), 7)
