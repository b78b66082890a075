"""Silence is what was listened to."""

from fencing.observer import Observer


def watch(*looks):
    """Each look: time, and the version of lease `a`; None for a look without an answer."""
    observer = Observer()
    for now, version in looks:
        if version is None:
            observer.missed()
        else:
            observer.looked({"a": version}, now)
    return observer


def test_counts_from_the_last_change():
    observer = watch((100, "1"), (101, "2"), (102, "2"), (103, "2"))
    assert observer.silent("a", 103) == 2
    assert observer.renewed("a") == 101


def test_what_was_there_when_we_came_is_not_a_renewal():
    observer = watch((100, "7"), (104, "7"))
    assert observer.renewed("a") is None
    assert observer.silent("a", 104) == 4, "but the silence that we heard counts"


def test_an_outage_gives_everybody_the_whole_time_again():
    observer = watch((100, "1"), (101, "2"), (102, None))
    assert observer.silent("a", 140) == 0
    assert observer.blind(140)
    observer.looked({"a": "2"}, 150)
    assert observer.silent("a", 152) == 2
    assert not observer.blind(152)


def test_so_does_a_pause_of_our_own():
    observer = watch((100, "1"), (101, "2"))
    assert observer.blind(160), "who was stopped knows nothing"
    observer.looked({"a": "2"}, 160)
    assert observer.silent("a", 161) == 1


def test_who_has_no_lease_is_not_silent():
    observer = watch((100, "1"))
    assert observer.silent("b", 200) == 0
    observer.looked({}, 103)
    assert observer.silent("a", 104) == 0
    observer.looked({"a": "9"}, 105)
    assert observer.renewed("a") is None, "a lease that is made anew is a first sight again"
