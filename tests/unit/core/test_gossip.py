from p2pupd.core.gossip import is_news, merge, newer
from p2pupd.model.fleet import GRACE, Standing, View
from tests.saying import NOW, OS, a_full_status, a_status, device, seen


def test_the_newest_word_of_each_device_counts() -> None:
    mine = View({device(1).id: seen(1, sequence=5), device(2).id: seen(2, sequence=1)})
    theirs = View({device(1).id: seen(1, sequence=4), device(2).id: seen(2, sequence=2)})
    merged = merge(mine, theirs)
    assert [each.record.sequence for each in merged.entries.values()] == [5, 2]


def test_a_later_epoch_counts_over_any_number_of_an_earlier_one() -> None:
    mine = View({device(1).id: seen(1, sequence=900)})
    theirs = View({device(1).id: seen(1, epoch=1, sequence=1)})
    said = merge(mine, theirs).get(device(1).id)
    assert said is not None
    assert said.epoch == 1


def test_who_says_two_things_under_one_number_is_believed_in_the_same_one_everywhere() -> None:
    one = View({device(1).id: seen(1, model="one")})
    other = View({device(1).id: seen(1, model="other")})
    assert merge(one, other).get(device(1).id) == merge(other, one).get(device(1).id)


def test_of_a_saying_that_came_twice_the_earlier_hearing_counts() -> None:
    early, late = seen(1, heard=NOW - 50), seen(1, heard=NOW)
    merged = merge(View({device(1).id: late}), View({device(1).id: early}))
    assert merged.entries[device(1).id].heard == NOW - 50


def test_a_newer_saying_of_which_nothing_else_is_known_is_kept_as_it_came() -> None:
    before, after = seen(1, sequence=4), seen(1, sequence=5)
    assert newer(before, after) is newer(after, before) is after
    known = seen(1, sequence=4, direct=True, alive=NOW + 1.0, lost=NOW + 2.0)
    assert newer(known, after) == seen(1, sequence=5, direct=True, alive=NOW + 1.0, lost=NOW + 2.0)


def test_a_sign_of_life_is_no_news() -> None:
    before = a_status(sequence=3, news=2)
    assert not is_news(before, a_status(sequence=4, news=2))
    assert is_news(before, a_status(sequence=4, news=4))
    assert is_news(before, a_status(epoch=1, sequence=1, news=1))


def test_a_device_ages_visibly_and_is_not_forgotten() -> None:
    heard = seen(1, heard=NOW)
    assert not heard.silent(NOW + 2 * 600 + GRACE)
    assert heard.silent(NOW + 2 * 600 + GRACE + 1)


def test_a_neighbour_that_answers_lives_and_one_that_no_longer_does_is_silent() -> None:
    answered = seen(1, heard=NOW, alive=float(NOW + 5000))
    assert not answered.silent(NOW + 5001)
    assert answered.last_sign == NOW + 5000
    assert seen(1, heard=NOW, alive=NOW + 1.0, lost=NOW + 2.0).silent(NOW + 3)
    assert not seen(1, heard=NOW + 3, alive=NOW + 1.0, lost=NOW + 2.0).silent(NOW + 3)


def test_this_device_is_never_silent_to_itself() -> None:
    assert not seen(1, heard=0, standing=Standing.OWN).silent(NOW)


def test_a_record_tells_its_last_result_and_what_is_installed() -> None:
    assert a_status().last_result is None
    full = a_full_status()
    assert full.last_result == full.history[0]
    assert full.installed(OS) == full.components[0]
    assert a_status().installed(OS) is None


def test_a_view_without_a_device_has_no_word_of_it() -> None:
    assert View().get(device(1).id) is None
