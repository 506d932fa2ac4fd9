"""Empty and duplicate clusters: found, and seeded anew where the mixture explains worst."""

import torch

from pima_toolkit.fitting.em.health import duplicate_clusters, empty_clusters, reseed


def hard(labels, clusters):
    return torch.eye(clusters, dtype=torch.float64)[torch.tensor(labels)]


def test_empty_clusters_are_found():
    assert empty_clusters(hard([0, 0, 1, 1, 3, 3], 5)) == [2, 4]
    assert empty_clusters(hard([0, 1] * 50, 2)) == []


def test_a_cluster_of_half_a_specimen_is_empty_and_of_one_is_not():
    gamma = torch.full((10, 2), 0.5, dtype=torch.float64)
    gamma[:, 1] = 0.05
    gamma[:, 0] = 0.95
    assert empty_clusters(gamma) == [1]
    gamma[:, 1], gamma[:, 0] = 0.1, 0.9
    assert empty_clusters(gamma) == []


def test_duplicates_are_found_whatever_their_size():
    gamma = hard([0] * 10 + [1] * 10, 3)
    gamma[:10, 0], gamma[:10, 2] = 0.7, 0.3
    assert duplicate_clusters(gamma) == [2]
    assert duplicate_clusters(hard([0, 1, 2] * 4, 3)) == []


def test_seeds_go_to_the_specimens_explained_worst():
    gamma = hard([0] * 12 + [1] * 12, 3)
    evidence = torch.zeros(24, dtype=torch.float64)
    evidence[[3, 17]] = -100.0
    fresh, seeded = reseed(gamma, evidence)
    assert seeded == [2]
    assert torch.nonzero(fresh[:, 2]).flatten().tolist() == [3, 17]
    torch.testing.assert_close(fresh.sum(1), torch.ones(24, dtype=torch.float64))
    others = [d for d in range(24) if d not in (3, 17)]
    assert torch.equal(fresh[others], gamma[others])
    assert (gamma[:, 2] == 0).all(), "the argument is not changed"


def test_healthy_clusters_are_left_alone():
    gamma = hard([0, 1, 2] * 8, 3)
    fresh, seeded = reseed(gamma, torch.zeros(24, dtype=torch.float64))
    assert seeded == []
    assert fresh is gamma


def test_one_cluster_or_hardly_any_specimen_is_never_seeded():
    one = torch.ones(10, 1, dtype=torch.float64)
    assert reseed(one, torch.zeros(10).double())[1] == []
    assert reseed(hard([0, 0, 0], 2), torch.zeros(3).double())[1] == []
