"""Whatever is not markup of ours is shown as it is written."""

from hypothesis import given
from hypothesis import strategies as st

from p2pupd.api.dashboard.html import NOTHING, el, join, text


def test_text_from_outside_never_becomes_markup() -> None:
    assert el("p", "<script>alert(1)</script>") == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"
    assert el("a", "x", title='"><b>') == '<a title="&quot;&gt;&lt;b&gt;">x</a>'


def test_markup_of_ours_stays_what_it_is() -> None:
    assert el("p", el("b", 7), None, " & more") == "<p><b>7</b> &amp; more</p>"
    assert join() == NOTHING


def test_attributes_that_are_not_wanted_are_left_out() -> None:
    assert el("input", name="n", required=True, disabled=False, value=None, class_="x") == (
        '<input name="n" required class="x">'
    )


@given(st.text())
def test_no_text_opens_or_closes_anything(said: str) -> None:
    shown = text(said)
    assert not set("<>\"'") & set(shown)
