"""Settings of the journal."""

from dataclasses import dataclass

from p2pupd.model.setting import Seconds, at_least, setting


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """`[journal]`: how much of the past is kept."""

    history_entries: int = setting(
        2000, "Lines of history kept; the oldest go first", check=at_least(10)
    )
    ended_deployments: int = setting(
        200, "Deployments kept after their end; the oldest go first", check=at_least(1)
    )
    busy_timeout: Seconds = setting(
        Seconds(10.0), "How long a write waits for a program that reads the file", check=at_least(0)
    )
