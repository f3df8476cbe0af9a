"""Whole pages: each says everything without a script, and names where its changes are told."""

from typing import Final

from p2pupd.api.dashboard.html import Html, el, join
from p2pupd.api.dashboard.words import SIGNS, Json, short
from p2pupd.api.tokens import Session

LOOK_AGAIN: Final = 15
"""Seconds after which a browser without scripts loads the page again."""
NAMES: Final = (("/", "Floor"), ("/log", "Events"), ("/operate", "Operate"))


def page(
    who: Json,
    path: str,
    *content: object,
    events: str | None = None,
    version: str = "",
    show: str | None = None,
) -> Html:
    """A page at `path`. `who` is the device that shows it; `events` is where a script follows what
    changes after `version`; `show` is the one state of devices that is wanted."""
    again = el("meta", http_equiv="refresh", content=LOOK_AGAIN)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{who['site'] or short(who['device'])} · p2pupd"),
        el("link", rel="stylesheet", href="/assets/dashboard.css"),
        el("link", rel="icon", href="/assets/favicon.svg", type="image/svg+xml"),
        el("script", src="/assets/dashboard.js", defer=True) if events else None,
        el("noscript", again) if events else None,
    )
    main = el(
        "main",
        *content,
        id="main",
        tabindex="-1",
        data_events=events,
        data_version=version or None,
        data_show=show if show in SIGNS else None,
    )
    skip = el("a", "To the content", href="#main", class_="skip")
    body = el("body", skip, _top(who, path, live=events is not None), main)
    return join(Html("<!doctype html>\n"), el("html", head, body, lang="en"))


def _top(who: Json, path: str, *, live: bool) -> Html:
    links = [
        el("a", name, href=target, aria_current="page" if target == path else None)
        for target, name in NAMES
    ]
    own = f"/device/{who['device']}"
    links.insert(2, el("a", "This device", href=own, aria_current="page" if path == own else None))
    named = f"{who['site']} · " if who["site"] else ""
    return el(
        "header",
        el("h1", el("a", "p2pupd", href="/")),
        el("span", named, "seen by ", el("span", short(who["device"]), class_="id"), class_="who"),
        el("span", id="link", class_="who") if live else None,
        el("nav", *links, aria_label="Pages"),
        class_="top",
    )


def floor_page(who: Json, parts: dict[str, Html], version: str, show: str | None) -> Html:
    """The floor at a glance."""
    return page(
        who,
        "/",
        parts["banner"],
        el("section", el("h2", "Devices"), parts["legend"], parts["floor"], class_="panel all"),
        el(
            "div",
            el("section", el("h2", "Rollout"), parts["rollout"], class_="panel"),
            el(
                "div",
                el("section", el("h2", "Who holds what"), parts["heat"], class_="panel"),
                el("section", el("h2", "Where it came from"), parts["bytes"], class_="panel"),
                class_="stack",
            ),
            el(
                "section",
                el("h2", "Events of this device"),
                parts["events"],
                el("a", "All events", href="/log", class_="more"),
                class_="panel narrow",
            ),
            class_="columns",
        ),
        events="/events/floor",
        version=version,
        show=show,
    )


def log_page(who: Json, parts: dict[str, Html], version: str) -> Html:
    """What happened on this device."""
    title = el("h2", "Events of this device, newest first")
    section = el("section", title, parts["events"], class_="panel")
    return page(who, "/log", section, events="/events/log", version=version)


def device_page(who: Json, device: str, parts: dict[str, Html], version: str) -> Html:
    """One device."""
    path = f"/device/{device}"
    return page(who, path, parts["device"], events=f"/events{path}", version=version)


def message_page(who: Json, title: str, said: str) -> Html:
    """One that only says something."""
    return page(who, "", el("section", el("h2", title), el("p", said), class_="panel"))


def sign_in_page(who: Json, can: bool, wrong: str = "") -> Html:
    """Asks for the token; `can`: there is one."""
    if not can:
        said = (
            "This device has no control token. Set control.token_file to operate it from here; "
            "on the device, the command p2pupd does."
        )
        return message_page(who, "Operate", said)
    field = el(
        "input", type="password", name="token", required=True, autocomplete="current-password",
        size=40, maxlength=256,
    )  # fmt: skip
    form = el(
        "form",
        el("label", "Control token ", field),
        el("button", "Sign in"),
        method="post",
        action="/sign-in",
    )
    section = el(
        "section",
        el("h2", "Operate"),
        el("p", wrong, class_="line bad", role="alert") if wrong else None,
        form,
        class_="panel",
    )
    return page(who, "/operate", section)


def operate_page(who: Json, session: Session, releases: list[Json]) -> Html:
    """What an operator may do, each with a button."""
    said, session.said = session.said, None
    note = None
    if said is not None:
        kind = "panel said-now" if said[0] else "panel said-now wrong"
        note = el("p", said[1], class_=kind, role="status")
    forms = [_form(session, *each) for each in _ACTS]
    here = el("section", el("h2", "This device"), *forms, class_="panel")
    leave = _form(session, "/sign-out", "Sign out", "Ends this session.", None)
    floor = el("section", el("h2", "The whole site"), _orders(session, releases), class_="panel")
    return page(who, "/operate", note, el("div", here, floor, class_="columns"), leave)


def _form(session: Session, action: str, word: str, said: str, more: Html | None) -> Html:
    return el(
        "form",
        el("input", type="hidden", name="form", value=session.form),
        el("p", said),
        more,
        el("button", word, class_="danger" if action == "/act/rollback" else None),
        method="post",
        action=action,
        enctype="multipart/form-data" if action == "/act/order" else None,
    )


def _number(name: str, label: str) -> Html:
    field = el("input", type="number", name=name, min=1, max=1_000_000, inputmode="numeric")
    return el("label", label, " ", field)


def _tick(name: str, label: str, *, required: bool = False) -> Html:
    return el(
        "label", el("input", type="checkbox", name=name, value="yes", required=required), label
    )


_ACTS: Final = (
    ("/act/check", "Check", "Ask every neighbour and the uplink for news.", None),
    (
        "/act/approve",
        "Approve",
        "Consent to an installation here.",
        join(
            _number("release", "release (empty: what waits)"),
            _tick("again", "again, though it failed here"),
            _tick("ahead", "ahead of its turn"),
        ),
    ),
    ("/act/defer", "Defer", "Put off what is on its way.", _number("minutes", "minutes")),
    (
        "/act/pause",
        "Pause transfer",
        "Let no payload move, for so long or until resumed.",
        _number("minutes", "minutes"),
    ),
    ("/act/resume", "Resume transfer", "Let payload move again.", None),
    (
        "/act/rollback",
        "Roll back",
        "Go back to the previous slot; the device restarts.",
        _tick("sure", "yes, restart this device", required=True),
    ),
)
"""(where to, button, what it does, fields)"""


def _orders(session: Session, releases: list[Json]) -> Html:
    """Orders are signed where the operator's key is, never in a browser."""
    numbers = [each["release"] for each in releases] or ["RELEASE"]
    lines = [
        el("li", el("code", f"p2pupd site {verb} {numbers[0]} --out order"))
        for verb in ("hold", "resume", "approve")
    ]
    upload = el("label", "signed order ", el("input", type="file", name="order", required=True))
    said = (
        "Holding, resuming and approving a release for all devices are orders, signed with the "
        "operator's key. Sign one where that key is:"
    )
    return join(
        el("p", said),
        el("ul", *lines, class_="gates"),
        _form(session, "/act/order", "Hand over", "Then hand it over here.", upload),
    )
