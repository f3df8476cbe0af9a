"""How the daemon logs: a line an event, for people, for journald, or as JSON."""

import json
import logging
import os
import sys
from typing import Final

PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
TEXT: Final = "%(asctime)s %(levelname)-7s %(message)s"


class _Journald(logging.Formatter):
    """A priority prefix that journald understands (sd-daemon(3)); it adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{PRIORITIES.get(record.levelno, 6)}>{super().format(record)}"


class _Json(logging.Formatter):
    """One JSON object a line: ts (Unix seconds), level, message, and where it came from."""

    def format(self, record: logging.LogRecord) -> str:
        event, _, details = record.getMessage().partition(" ")
        fields = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": event,
            "details": details,
            "logger": record.name,
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure_logging(log_format: str, *, debug: bool) -> None:
    """`log_format` is auto, text or json; auto is journald's form under systemd."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(_Json())
    elif log_format == "auto" and "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_Journald("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter(TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("p2pupd").setLevel(logging.DEBUG if debug else logging.INFO)
