"""The floor as parts of a page: what is true of all, each release on its way, a tile a device."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from p2pupd.api.dashboard.html import NOTHING, Html, el, join
from p2pupd.api.dashboard.live import Parts
from p2pupd.api.dashboard.words import (
    SIGNS,
    SOURCES,
    STAGES,
    Json,
    count,
    lasting,
    moment,
    percent,
    short,
    size,
    stamp,
)

DENSE: Final = 150
"""From so many devices on tiles are small."""
HEAT_STEPS: Final = 5
HEAT_RELEASES: Final = 3
BAR: Final = 1000
GONE: Final = ("confirmed", "failed")


def floor_parts(board: Json) -> Parts:
    """Every part of the page about the floor, by its id there."""
    devices = board["devices"]
    tiles = {f"d-{each['id']}": _tile(each) for each in devices}
    parts: Parts = {
        "banner": (_banner(board), None),
        "legend": (_legend(devices), None),
        "rollout": (_rollout(board), None),
        "heat": (_heat(board), None),
        "bytes": (_bytes(devices), None),
        "floor": (_grid(tiles), tuple(tiles)),
    }
    return parts | {name: (html, None) for name, html in tiles.items()}


def sign_of(state: str) -> Html:
    """The sign of a state of devices, for eyes only."""
    return el("span", SIGNS[state][0], class_="sign", aria_hidden="true")


def when(seconds: float) -> Html:
    """A moment."""
    return el("time", moment(seconds), datetime=stamp(seconds))


def bar(label: str, *shares: tuple[str, float]) -> Html:
    """One line that is made of (kind, share of 1), drawn without any style of its own."""
    start, drawn = 0.0, []
    for kind, share in shares:
        drawn.append(
            el(
                "rect", x=round(start * BAR), y=0, width=round(share * BAR), height=10,
                class_=f"k-{kind}",
            )
        )  # fmt: skip
        start += share
    return el(
        "svg", *drawn, class_="bar", viewBox=f"0 0 {BAR} 10", preserveAspectRatio="none",
        role="img", aria_label=label,
    )  # fmt: skip


# -- what is true of all ------------------------------------------------------------------------


def _banner(board: Json) -> Html:
    """The one sentence that is read from two metres, and what must not be overlooked."""
    lines = list(_alarms(board)) or [_course(board)]
    if board["stick_may_go"]:
        lines.append(_line("good", "✓", "You may remove the stick now", _kept(board)))
    return el("section", *lines, id="banner", class_="banner", role="status", aria_live="polite")


def _line(kind: str, sign: str, said: str, more: object = "") -> Html:
    return el(
        "div",
        el("span", sign, class_="sign", aria_hidden="true"),
        el("div", el("p", said, class_="said"), el("p", more) if more else None),
        class_=f"line {kind}",
    )


def _alarms(board: Json) -> Iterator[Html]:
    for each in board["releases"]:
        name = f"{each['component']} {each['version']}"
        if each["halted"]:
            why = f"{count(each['failed'], 'device')} failed of {each['devices']}"
            if each["limit"]:
                why += f"; the limit is {percent(each['limit'])} of a wave"
            end = f"A newer release or a signed resume of release {each['release']} ends it."
            yield _line("bad", "✕", f"Halted: {name}", f"{why}. {end}")
        elif each["held_by"]:
            who = f"by the operator {each['held_by'][:8]}; a signed resume ends that"
            yield _line("warn", "‖", f"On hold: {name}", who)


def _course(board: Json) -> Html:
    running = [each for each in board["releases"] if each["share"] < 1]
    if not board["releases"]:
        return _line("calm", "○", "No release for this floor yet")
    if not running:
        failed = sum(each["failed"] for each in board["releases"])
        if failed:
            more = f"{count(failed, 'device')} went back to the old release"
            return _line("warn", "✓", "Every device is done", more)
        return _line("calm", "✓", "Every device is up to date")
    first = running[0]
    said = f"{first['component']} {first['version']}: {percent(first['share'])}"
    return _line("calm", "▶", said, _forecast(first))


def _forecast(release: Json) -> str:
    done = release["confirmed"] + release["failed"]
    said = f"{done} of {count(release['devices'], 'device')} done"
    if release["left"] is not None:
        said += f", about {lasting(release['left'])} left"
    if release["soak"]:
        said += f", and {lasting(release['soak'])} for waves to prove themselves"
    return said


def _kept(board: Json) -> str:
    found = [each["copies"] for each in board["releases"] if each["copies"]]
    least = min((each["held"] for each in found), default=0)
    return f"the floor holds {count(least, 'complete copy')} without it"


def _legend(devices: list[Json]) -> Html:
    """How many there are of each; a link shows only those."""
    found = Counter(each["shown"] for each in devices)
    chips = [el("li", el("a", el("b", len(devices)), " all", href="/", class_="chip"))]
    for state, (_, word) in SIGNS.items():
        if found[state]:
            inside = join(sign_of(state), el("b", found[state]), " ", word)
            link = el("a", inside, href=f"/?show={state}", class_=f"chip s-{state}")
            chips.append(el("li", link))
    return el("ul", *chips, id="legend", class_="legend", aria_label="States of devices")


# -- releases on their way ----------------------------------------------------------------------


def _rollout(board: Json) -> Html:
    shown = [_release(each) for each in board["releases"]]
    return el("div", *(shown or [el("p", "No release yet.")]), id="rollout")


def _release(release: Json) -> Html:
    whole = max(1, release["devices"])
    done, failed = release["confirmed"] / whole, release["failed"] / whole
    moving = max(0.0, release["share"] - done - failed)
    facts = [f"release {release['release']}", size(release["length"])]
    facts += [release["urgency"]] if release["urgency"] != "normal" else []
    facts += [f"at most {release['at_once']} at once"] if release["at_once"] else []
    label = (
        f"{release['confirmed']} confirmed, {release['failed']} failed, "
        f"of {count(release['devices'], 'device')}"
    )
    return el(
        "article",
        el("h3", f"{release['component']} {release['version']} ", el("small", ", ".join(facts))),
        bar(label, ("confirmed", done), ("failed", failed), ("moving", moving)),
        el("p", _forecast(release), ". ", _copies(release)),
        _waves(release["stages"]) if release["stages"] else None,
        class_="release",
    )


def _copies(release: Json) -> str:
    copies = release["copies"]
    if copies is None:
        return ""
    held = count(copies["held"], "complete copy")
    return f"{held} without the seed, {copies['needed']} needed."


def _waves(stages: list[Json]) -> Html:
    head = el("tr", *(el("th", each, scope="col") for each in ("wave", "devices", "", "state")))
    return el("table", el("thead", head), el("tbody", *map(_wave, stages)), class_="waves")


def _wave(stage: Json) -> Html:
    whole = max(1, stage["devices"])
    shares = [(kind, stage[kind] / whole) for kind in GONE]
    label = f"{stage['confirmed']} confirmed, {stage['failed']} failed"
    sign, word = STAGES[stage["state"]]
    state = join(el("span", sign, class_="sign", aria_hidden="true"), f" {word}")
    if stage["until"] is not None:
        state = join(state, " until ", when(stage["until"]))
    name = stage["name"] + (f", to {percent(stage['share'])}" if stage["share"] else "")
    return el(
        "tr",
        el("th", name, scope="row"),
        el("td", f"{stage['confirmed']} / {stage['devices']}", class_="number"),
        el("td", bar(label, *shares), class_="wide"),
        el("td", state),
        class_=f"w-{stage['state']}",
    )


# -- who holds what -----------------------------------------------------------------------------


def _heat(board: Json) -> Html:
    rows = [_heat_row(each, board["devices"]) for each in board["releases"][:HEAT_RELEASES]]
    return el("div", *(rows or [el("p", "Nothing is held yet.")]), id="heat")


def _heat_row(release: Json, devices: list[Json]) -> Html:
    steps = [_held(each, release) for each in devices]
    cells = [el("i", class_=f"h{step}") for step in steps]
    held = steps.count(HEAT_STEPS)
    name = f"{release['component']} {release['version']}"
    said = f"{name}: {held} of {count(len(devices), 'device')} hold all of it"
    kind = "heat fine" if len(cells) >= DENSE else "heat"
    drawn = el("div", *cells, class_=kind, aria_hidden="true")
    return el("div", el("p", said), drawn, class_="heats")


def _held(device: Json, release: Json) -> int:
    """0 to HEAT_STEPS: how much of the artifact lies there."""
    if release["held_as"] in device["holds"]:
        return HEAT_STEPS
    doing = device["deployment"]
    if doing is None or doing["phase"] != "fetching" or not doing["length"]:
        return 0
    if (doing["component"], doing["release"]) != (release["component"], release["release"]):
        return 0
    return min(HEAT_STEPS - 1, int(doing["done"]) * HEAT_STEPS // int(doing["length"]))


def _bytes(devices: list[Json]) -> Html:
    """Where the payload of the whole floor came from."""
    sums = {name: sum(each["bytes"][name] for each in devices) for name in SOURCES}
    whole = sum(sums.values())
    if not whole:
        return el("div", el("p", "No payload yet."), id="bytes")
    shares = [(name, amount / whole) for name, amount in sums.items() if amount]
    said = [
        el("li", el("span", class_=f"key k-{name}"), f"{size(sums[name])} {SOURCES[name]}")
        for name, _ in shares
    ]
    return el("div", bar("Where payload came from", *shares), el("ul", *said), id="bytes")


# -- tiles --------------------------------------------------------------------------------------


def _grid(tiles: dict[str, Html]) -> Html:
    dense = "grid dense" if len(tiles) >= DENSE else "grid"
    return el("ul", *tiles.values(), id="floor", class_=dense, aria_label="Devices")


def _tile(device: Json) -> Html:
    state, doing = device["shown"], device["deployment"]
    runs = ", ".join(each["version"] for each in device["components"])
    word = SIGNS[state][1]
    below = device["model"] or ", ".join(device["groups"]) or ", ".join(device["hardware"])
    facts = [f"{short(device['id'])}, {word}", below, f"runs {runs}" if runs else ""]
    label = ", ".join(each for each in facts if each)
    return el(
        "li",
        el(
            "a",
            el("span", sign_of(state), el("span", word, class_="word"), class_="state"),
            el("span", short(device["id"]), class_="name"),
            el("span", below, class_="below"),
            el("span", runs, _to(device), class_="runs"),
            _progress(doing) if state in ("fetching", "installing") else None,
            href=f"/device/{device['id']}",
            aria_label=label,
            title=label,
        ),
        id=f"d-{device['id']}",
        class_=f"tile s-{state}",
    )


def _to(device: Json) -> str:
    doing = device["deployment"]
    if doing is not None:
        return f" → {doing['version']}"
    return f" · wave {device['stage']}" if device["stage"] and device["shown"] == "behind" else ""


def _progress(doing: Json | None) -> Html:
    if doing is None or not doing["length"]:
        return NOTHING
    return bar("", ("moving", min(1.0, doing["done"] / doing["length"])))
