"""Is the new release healthy? Decided from observations alone: no clock, no probing here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Rule:
    """What it takes. `deadline` and `settle` are seconds after the start of the trial.

    Every one of `probes` must succeed `successes` times in a row, and hold that until all have;
    nothing passes before `settle` is over, nothing after `deadline`.
    """

    probes: tuple[str, ...]
    successes: int
    deadline: float
    settle: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One probe so far: successes in a row, and what it said when it last failed."""

    streak: int = 0
    detail: str = "has not answered yet"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything observed since `started` (seconds of a monotonic clock)."""

    started: float
    probes: Mapping[str, Seen] = field(default_factory=dict)

    def add(self, probe: str, at: float, ok: bool, rule: Rule, detail: str = "") -> "Evidence":
        """With one more observation at time `at`; one that came after the deadline is a failure."""
        late = at - self.started > rule.deadline
        before = self.probes.get(probe, Seen())
        if ok and not late:
            streak = before.streak + 1
            seen = Seen(streak, f"only {streak} of {rule.successes} successes in a row")
        else:
            seen = Seen(0, "answered after the deadline" if ok else detail)
        return replace(self, probes={**self.probes, probe: seen})


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing can be said yet."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Healthy."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The deadline is over. `failing` maps each probe that kept it from passing to its detail."""

    failing: Mapping[str, str]

    @property
    def detail(self) -> str:
        """`web: status 500; db: no answer within 10 s`, for people."""
        return "; ".join(f"{name}: {why}" for name, why in self.failing.items())


def verdict(rule: Rule, evidence: Evidence, now: float) -> Pending | Passed | Failed:
    """Pending until every probe has proved itself, or the deadline is over."""
    seen = {name: evidence.probes.get(name, Seen()) for name in rule.probes}
    failing = {name: each.detail for name, each in seen.items() if each.streak < rule.successes}
    elapsed = now - evidence.started
    if not failing and elapsed >= rule.settle:
        return Passed()
    return Failed(failing) if elapsed >= rule.deadline else Pending()
