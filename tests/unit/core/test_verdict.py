from p2pupd.core.verdict import Evidence, Failed, Passed, Pending, Rule, verdict

RULE = Rule(("web", "db"), successes=2, deadline=60, settle=5)


def evidence(*observations: tuple[str, float, bool], rule: Rule = RULE) -> Evidence:
    result = Evidence(started=100)
    for probe, at, ok in observations:
        result = result.add(probe, at, ok, rule, "" if ok else "said no")
    return result


def test_nothing_is_decided_before_any_probe_has_answered() -> None:
    assert verdict(RULE, evidence(), 101) == Pending()


def test_healthy_once_every_probe_has_enough_successes_in_a_row() -> None:
    seen = evidence(("web", 101, True), ("db", 101, True), ("web", 106, True))
    assert verdict(RULE, seen, 106) == Pending()
    assert verdict(RULE, seen.add("db", 106, True, RULE), 106) == Passed()


def test_a_failure_starts_the_count_again() -> None:
    seen = evidence(("web", 101, True), ("web", 102, False), ("web", 103, True))
    seen = seen.add("db", 103, True, RULE).add("db", 104, True, RULE)
    assert verdict(RULE, seen, 106) == Pending()


def test_a_probe_that_has_proved_itself_can_still_lose_it() -> None:
    seen = evidence(("web", 101, True), ("web", 102, True), ("db", 102, True))
    seen = seen.add("web", 103, False, RULE, "gone").add("db", 103, True, RULE)
    assert verdict(RULE, seen, 106) == Pending()


def test_nothing_passes_before_the_settle_time() -> None:
    seen = evidence(*((name, at, True) for at in (101, 102) for name in ("web", "db")))
    assert verdict(RULE, seen, 104.9) == Pending()
    assert verdict(RULE, seen, 105) == Passed()


def test_the_deadline_names_only_the_failing_probes_with_what_they_said() -> None:
    seen = evidence(("web", 101, True), ("web", 102, True), ("db", 102, False))
    result = verdict(RULE, seen, 160)
    assert result == Failed({"db": "said no"})
    assert isinstance(result, Failed)
    assert result.detail == "db: said no"


def test_a_silent_probe_fails_at_the_deadline() -> None:
    result = verdict(RULE, evidence(("db", 102, True)), 160)
    assert isinstance(result, Failed)
    assert result.detail == "web: has not answered yet; db: only 1 of 2 successes in a row"


def test_a_success_after_the_deadline_does_not_count() -> None:
    seen = evidence(("web", 159, True), ("db", 158, True), ("db", 159, True), ("web", 161, True))
    assert verdict(RULE, seen, 161) == Failed({"web": "answered after the deadline"})


def test_without_probes_being_up_for_the_settle_time_is_enough() -> None:
    rule = Rule((), successes=2, deadline=60, settle=5)
    assert verdict(rule, Evidence(0), 4) == Pending()
    assert verdict(rule, Evidence(0), 5) == Passed()
