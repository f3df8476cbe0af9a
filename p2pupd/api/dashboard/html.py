"""Markup by calls. Whatever is not `Html` already is escaped, so no name of a device is markup."""

from html import escape
from typing import Final

VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is markup: only `el`, `join` and `RAW` texts of ours are."""

    __slots__ = ()


NOTHING: Final = Html("")


def text(value: object) -> Html:
    """`value` as it is shown; markup stays what it is."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(*parts: object) -> Html:
    """One after the other; None is nothing."""
    return Html("".join(text(each) for each in parts if each is not None))


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. `class_` and the like lose their last `_`, other `_` are `-`; an attribute that
    is None or False is left out, True has no value."""
    opened = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        opened.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    start = f"<{' '.join(opened)}>"
    return Html(start if name in VOID else f"{start}{join(*children)}</{name}>")
