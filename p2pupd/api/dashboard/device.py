"""One device as a part of a page, and lines of history."""

from collections.abc import Iterable
from typing import Final

from p2pupd.api.dashboard.floor import bar, sign_of, when
from p2pupd.api.dashboard.html import Html, el, join
from p2pupd.api.dashboard.live import Parts
from p2pupd.api.dashboard.words import SIGNS, SOURCES, Json, grouped, moment, percent, size

HIDDEN: Final = ("at", "event", "id", "sha256", "digest")
DULL: Final = ("", "0", "false")
HEARD: Final = {"here": "this one", "now": "a neighbour that answers", "heard": "by others"}


def device_parts(device: Json, why: Json) -> Parts:
    """All that is known of it; `why` as `p2pupd why` tells it."""
    return {"device": (_device(device, why), None)}


def log_parts(lines: list[Json]) -> Parts:
    """The newest lines of this device's history, newest first."""
    return {"events": (events(lines), None)}


def events(lines: list[Json]) -> Html:
    """A list of lines of history, which come oldest first."""
    shown = [_event(each) for each in reversed(lines)]
    return el(
        "ul", *(shown or [el("li", "Nothing has happened yet.")]), id="events", class_="events"
    )


def _event(line: Json) -> Html:
    fields = {name: said for name, said in line.items() if name not in HIDDEN and said not in DULL}
    said = " · ".join(f"{key} {value}" for key, value in fields.items())
    return el("li", when(line["at"]), el("b", line["event"]), el("span", said))


def _device(device: Json, why: Json) -> Html:
    state = device["shown"]
    title = el(
        "div",
        el("h2", el("span", grouped(device["id"]), class_="id")),
        el("span", sign_of(state), " ", SIGNS[state][1], class_=f"state s-{state}"),
        class_="title",
    )
    left = el(
        "div",
        el("section", el("h2", "Why not"), _why(why), class_="panel"),
        el("section", el("h2", "Updates"), _history(device["history"]), class_="panel"),
        class_="stack",
    )
    right = el("section", el("h2", "What it is"), _facts(device), class_="panel")
    return el(
        "div",
        el("section", title, _doing(device["deployment"]), class_="panel"),
        el("div", left, right, class_="columns"),
        id="device",
        class_="stack",
    )


def _doing(doing: Json | None) -> Html:
    if doing is None:
        return el("p", "Nothing is under way.", class_="note")
    said = f"{doing['phase']}: {doing['component']} {doing['version']} (release {doing['release']})"
    parts = [el("p", said, " since ", when(doing["since"]))]
    if doing["length"] and doing["phase"] in ("fetching", "installing"):
        share = min(1.0, doing["done"] / doing["length"])
        parts += [bar(percent(share), ("moving", share))]
        parts += [el("p", f"{size(doing['done'])} of {size(doing['length'])}", class_="note")]
    return join(*parts)


def _why(why: Json) -> Html:
    """Every gate that is closed for it."""
    release, lines = why["release"], []
    if release is not None:
        said = f"{release['component']} {release['version']} (release {release['release']})"
        said += f", {why['stage']}" if why["stage"] else ""
        lines.append(el("p", said, class_="note"))
    gates = [
        el("li", el("code", each["code"]), each["detail"], _until(each["until"]))
        for each in why["gates"]
    ]
    lines.append(el("ul", *(gates or [el("li", "✓ No gate is closed.")]), class_="gates"))
    return join(*lines)


def _until(until: float | None) -> str:
    return "" if until is None else f" (until {moment(until)})"


def _facts(device: Json) -> Html:
    runs = [
        f"{each['component']} {each['version']} (release {each['release']})"
        for each in device["components"]
    ]
    links = [f"{each['address']} on {each['name']}" for each in device["links"]]
    came = [f"{size(device['bytes'][key])} {word}" for key, word in SOURCES.items()]
    heard = HEARD.get(device["state"], "silent")
    rows: list[tuple[str, object]] = [
        ("runs", "; ".join(runs) or "nothing that p2pupd installs"),
        ("role", device["role"]),
        ("model", device["model"] or "–"),
        ("hardware", ", ".join(device["hardware"]) or "–"),
        ("groups", ", ".join(device["groups"]) or "–"),
        ("site", device["site"] or "–"),
        ("heard", join(heard, ", last ", when(device["last_sign"]))),
        ("key", f"{device['standing']}, epoch {device['epoch']}"),
        ("addresses", "; ".join(links) or "–"),
        ("holds", f"{len(device['holds'])} complete artifact(s)"),
        ("payload from", ", ".join(came)),
        ("sent", size(device["bytes"]["sent"])),
        ("room", size(device["store_free"])),
        ("p2pupd", device["version"]),
    ]
    return el("dl", *_rows(rows), class_="facts")


def _rows(rows: Iterable[tuple[str, object]]) -> Iterable[Html]:
    for name, value in rows:
        yield el("dt", name)
        yield el("dd", value)


def _history(history: list[Json]) -> Html:
    if not history:
        return el("p", "It has told of none.", class_="note")
    lines = []
    for each in history:
        said = f"{each['component']} {each['version']}: {each['phase']}"
        why = ": ".join(text for text in (each["reason"], each["detail"]) if text)
        lines.append(el("li", when(each["at"]), el("b", said), el("span", why)))
    return el("ul", *lines, class_="events")
