"""The control API in OpenAPI 3.1: what `GET /v1/openapi.json` answers."""

from typing import Any, Final

from p2pupd import __version__
from p2pupd.model.numbers import LARGEST

Json = dict[str, Any]
ABSOLUTE: Final = r"^/[^\u0000]*$"
BASE64: Final = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
TEXT: Final[Json] = {"type": "string"}
NUMBER: Final[Json] = {"type": "number"}
WHOLE: Final[Json] = {"type": "integer"}
FLAG: Final[Json] = {"type": "boolean"}
OBJECT: Final[Json] = {"type": "object"}
MAYBE: Final[Json] = {"type": ["object", "null"]}


def description() -> Json:
    """The whole of it, made anew for each caller."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "p2pupd control API",
            "version": __version__,
            "summary": "What the operators of one device ask of it.",
            "description": (
                "On the Unix socket root, the daemon's user and whom `[control]` names may call; "
                "over TCP who has the token. Times are Unix seconds, sizes bytes."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _reading() | _acting(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "responses": _responses(),
        },
    }


def _reading() -> Json:
    limit = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    own = _get("This device: what it runs, holds and does.", _ref("Status"))
    open_to_all = _get("This description.", OBJECT) | {"security": []}
    return {
        "/v1/openapi.json": {"get": open_to_all},
        "/v1/status": {"get": own},
        "/v1/peers": {"get": _get("The neighbours of now.", _list(_ref("Peer")))},
        "/v1/fleet": {"get": _get("Every device that was heard of.", _list(_ref("Device")))},
        "/v1/floor": {"get": _get("The floor as a screen shows it.", _ref("Floor"))},
        "/v1/history": {
            "get": _get(
                "The newest lines of history, oldest first.",
                _list(_ref("Event")),
                _query("limit", limit, "So many at most."),
            )
        },
        "/v1/why": {
            "get": _get(
                "Every closed gate of this device, or of the one whose id begins so.",
                _ref("Why"),
                _query("device", TEXT, "At least 4 characters of an id."),
            )
        },
        "/metrics": {"get": _metrics()},
    }


def _acting() -> Json:
    seconds = {"seconds": NUMBER | {"type": ["number", "null"]}}
    release = {"type": ["integer", "null"], "minimum": 0, "maximum": LARGEST}
    path = {"path": TEXT | {"pattern": ABSOLUTE, "minLength": 1, "maxLength": 4096}}
    order = {"order": TEXT | {"pattern": BASE64, "maxLength": 32768}}
    consent = {"release": release, "again": FLAG, "ahead": FLAG}
    return {
        "/v1/check": {"post": _post("Ask every source again.", {})},
        "/v1/approve": {"post": _post("Consent to an installation.", consent)},
        "/v1/defer": {"post": _post("Put off what is on its way here.", seconds)},
        "/v1/order": {"post": _post("Take a signed order and pass it on.", order, "order")},
        "/v1/rollback": {"post": _post("Go back to the previous slot.", {})},
        "/v1/pause": {"post": _post("Let no payload move, for so long.", seconds)},
        "/v1/resume": {"post": _post("End the operator's pause.", {})},
        "/v1/reload": {"post": _post("Read the configuration again.", {})},
        "/v1/import": {"post": _streamed("Take releases from a directory of this device.", path)},
        "/v1/export": {"post": _streamed("Write a stick to a directory of this device.", path)},
    }


def _get(summary: str, schema: Json, *parameters: Json) -> Json:
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": _json("As asked.", schema)} | _errors(),
    }


def _post(summary: str, properties: Json, *needed: str) -> Json:
    return {
        "summary": summary,
        "requestBody": _body(properties, needed),
        "responses": {"200": _json("What came of it.", _ref("Said"))} | _errors(),
    }


def _streamed(summary: str, properties: Json) -> Json:
    lines = {"application/x-ndjson": {"schema": TEXT}}
    said = "Lines of JSON: progress, then one result or error."
    return {
        "summary": summary,
        "requestBody": _body(properties, ("path",)),
        "responses": {"200": {"description": said, "content": lines}} | _errors(),
    }


def _metrics() -> Json:
    said = "Prometheus' text format, or OpenMetrics where that is asked for."
    kinds: Json = {
        kind: {"schema": TEXT} for kind in ("text/plain", "application/openmetrics-text")
    }
    failed = {"description": "They cannot be read now.", "content": {"text/plain": {}}}
    return {
        "summary": "The figures of this device.",
        "responses": {"200": {"description": said, "content": kinds}, "503": failed} | _errors(),
    }


def _body(properties: Json, needed: tuple[str, ...]) -> Json:
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    if needed:
        schema["required"] = list(needed)
    return {"required": bool(needed), "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Json, said: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": said}


def _json(said: str, schema: Json) -> Json:
    return {"description": said, "content": {"application/json": {"schema": schema}}}


def _errors() -> Json:
    names = {"400": "Malformed", "401": "Unknown", "403": "NotAllowed", "409": "Refused"}
    names |= {"413": "TooLong", "429": "TooMany"}
    return {code: {"$ref": f"#/components/responses/{name}"} for code, name in names.items()}


def _responses() -> Json:
    retry = {"Retry-After": {"schema": WHOLE, "description": "Seconds."}}
    asks = {"WWW-Authenticate": {"schema": TEXT}}
    return {
        "Malformed": _json("The request is malformed.", _ref("Error")),
        "Unknown": _plain("No token, or a wrong one.") | {"headers": asks},
        "NotAllowed": _json("This caller may not.", _ref("Error")),
        "Refused": _json("This device cannot, or need not.", _ref("Error")),
        "TooLong": _plain("The body is longer than 64 KiB."),
        "TooMany": _plain("Too many calls, or too many wrong tokens.") | {"headers": retry},
    }


def _plain(said: str) -> Json:
    return {"description": said, "content": {"text/plain": {"schema": TEXT}}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _known(**properties: Json) -> Json:
    """An object that has all of these, and may have more in later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _schemas() -> Json:
    gate = _known(code=TEXT, detail=TEXT, until={"type": ["number", "null"]})
    update = _known(component=TEXT, version=TEXT, release=WHOLE, phase=TEXT, at=NUMBER, reason=TEXT)
    shared = {"id": TEXT, "role": TEXT}
    device = shared | {
        "state": {"enum": ["here", "now", "heard", "silent"]},
        "last_sign": NUMBER,
        "components": _list(_known(component=TEXT, version=TEXT, release=WHOLE)),
        "deployment": MAYBE,
        "history": _list(update),
        "holds": _list(TEXT),
        "bytes": OBJECT,
    }
    return {
        "Said": _known(said=TEXT),
        "Error": _known(error=_known(code=WHOLE, reason=TEXT, message=TEXT)),
        "Status": _known(**_status()),
        "Peer": _known(**shared, host=TEXT, port=WHOLE, manifest=TEXT, last_seen=NUMBER),
        "Device": _known(**device),
        "Floor": _known(
            now=NUMBER,
            devices=_list(_known(**device, shown=TEXT, stage={"type": ["integer", "null"]})),
            releases=_list(_on_its_way()),
            stick_may_go={"type": ["boolean", "null"]},
            orders=_list(OBJECT),
        ),
        "Event": _known(at=NUMBER, event=TEXT),
        "Why": _known(device=TEXT, release=MAYBE, phase=TEXT, gates=_list(gate)),
    }


def _status() -> Json:
    texts = dict.fromkeys(("device", "version", "role", "realm"), "string")
    objects = dict.fromkeys(("store", "site", "limits"), "object")
    plain = {name: {"type": kind} for name, kind in (texts | objects).items()}
    lists = {name: _list(OBJECT) for name in ("transfers", "stored")}
    return plain | lists | dict.fromkeys(("manifest", "installed", "deployment"), MAYBE)


def _on_its_way() -> Json:
    stage = _known(name=TEXT, devices=WHOLE, confirmed=WHOLE, failed=WHOLE, state=TEXT)
    release = {
        "component": TEXT,
        "version": TEXT,
        "release": WHOLE,
        "devices": WHOLE,
        "confirmed": WHOLE,
        "failed": WHOLE,
        "share": NUMBER | {"minimum": 0, "maximum": 1},
        "left": {"type": ["number", "null"]},
        "halted": FLAG,
        "stages": _list(stage),
    }
    return _known(**release)
