"""Groups as a person edits them."""

import numpy as np
import pytest
from pima_widgets.grouping import Grouping

from pima_toolkit.errors import OptionError

NAMES = ("population 0", "population 1", "population 2")


@pytest.fixture
def three():
    rng = np.random.default_rng(0)
    return Grouping.of(rng.dirichlet([0.3, 0.3, 0.3], 40), NAMES)


def whole(grouping):
    np.testing.assert_allclose(grouping.responsibilities.sum(1), 1.0, atol=1e-12)
    assert grouping.responsibilities.shape[1] == len(grouping.names) == len(grouping.number)
    assert len(set(grouping.names)) == len(grouping.names)
    assert len(set(grouping.number)) == len(grouping.number)
    return grouping


def test_moved_specimens_belong_for_certain_and_others_stay(three):
    moved = whole(three.move([3, 5], "population 1"))
    assert (moved.best[[3, 5]] == 1).all()
    rest = np.setdiff1d(np.arange(40), [3, 5])
    np.testing.assert_array_equal(moved.responsibilities[rest], three.responsibilities[rest])
    np.testing.assert_array_equal(three.responsibilities, Grouping.of(three.responsibilities, NAMES).responsibilities)


def test_a_new_name_makes_a_new_group_with_a_colour_of_its_own(three):
    moved = whole(three.move([0], "odd ones"))
    assert moved.names[-1] == "odd ones"
    assert moved.number == (0, 1, 2, 3)


def test_merged_groups_add_their_responsibilities(three):
    merged = whole(three.merge("population 2", "population 0"))
    assert merged.names == ("population 1", "population 2")
    np.testing.assert_allclose(
        merged.responsibilities[:, 1], three.responsibilities[:, 2] + three.responsibilities[:, 0]
    )
    assert merged.number == (1, 2)


def test_a_split_finds_two_populations_and_the_larger_keeps_the_name():
    rng = np.random.default_rng(1)
    features = np.concatenate([rng.normal(0, 1, (30, 2)), rng.normal(8, 1, (12, 2))])
    one = Grouping.of(np.ones((42, 1)), NAMES[:1])
    parted = whole(one.split("population 0", features))
    assert parted.names == ("population 0", "population 0 b")
    np.testing.assert_array_equal(parted.best, np.repeat([0, 1], [30, 12]))
    features[3] = np.nan
    assert one.split("population 0", features).best[3] == 0


def test_renamed_groups_keep_their_members_and_colour(three):
    renamed = whole(three.rename("population 1", "  stiff "))
    assert renamed.names == ("population 0", "stiff", "population 2")
    assert renamed.number == three.number


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.move([], "population 0"), "no specimens are selected"),
        (lambda g: g.merge("population 0", "population 0"), "merged with itself"),
        (lambda g: g.merge("population 0", "population 9"), "no group 'population 9'"),
        (lambda g: g.rename("population 0", " "), "it is empty"),
        (lambda g: g.rename("population 0", "population 1"), "it is taken"),
        (lambda g: g.split("population 0", np.zeros((40, 1))), "all alike"),
        (lambda g: g.split("population 0", np.full((40, 1), np.nan)), "at least 4"),
    ],
)
def test_what_cannot_be_done_says_why(three, change, words):
    with pytest.raises(OptionError, match=words):
        change(three)


def test_a_number_is_never_given_twice(three):
    fewer = three.merge("population 1", "population 2")
    assert whole(fewer.move([1], "new")).number == (0, 1, 3)


def test_groups_are_annotated_and_a_merger_keeps_what_was_said(three):
    said = three.annotate("population 0", " stiff ").annotate("population 2", "soft")
    assert said.notes == ("stiff", "", "soft")
    assert said.merge("population 0", "population 2").notes == ("stiff; soft", "")
    assert said.annotate("population 0", "").notes == ("", "", "soft")
    assert said.move([0], "new").notes == ("stiff", "", "soft", "")


def test_groups_are_numbered_like_the_clusters_they_share_most_with(three):
    other = three.responsibilities[:, [2, 0, 1]]
    assert three.numbered_like(other).number == (1, 2, 0)
    more = whole(three.move([1, 2], "new").numbered_like(other))
    assert more.number[:3] == (1, 2, 0)
    assert more.number[3] >= 3
