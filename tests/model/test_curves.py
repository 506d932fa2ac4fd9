"""One mask of measured points, whatever the gaps, and what sums over it leave out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.physics import PhysicsDecoder

PRESENT = torch.tensor([True, False, True])
OBSERVED = torch.tensor([[True, False], [True, True], [False, False]])


def curves(observed, t=None):
    x = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    return Curves(x, np.array([0.0, 1.0]) if t is None else t, observed, PRESENT)


def test_seen_is_what_was_observed_of_what_is_present():
    assert curves(OBSERVED).seen.tolist() == [[True, False], [False, False], [False, False]]
    assert curves(None).seen.tolist() == [[True, True], [False, False], [True, True]]
    for one in (curves(OBSERVED), curves(None)):
        assert one.seen.dtype == torch.bool
        assert one.seen.shape == one.x.shape


def test_parts_of_curves_see_their_part():
    for observed in (OBSERVED, None):
        whole = curves(observed)
        assert whole[1:].seen.equal(whole.seen[1:])
        assert whole.at(torch.tensor([2, 0])).seen.equal(whole.seen[[2, 0]])
        hidden = replace(whole, present=torch.zeros_like(PRESENT))
        assert not hidden.seen.any()  # a copy does not remember the mask of the original


def test_complete_curves_are_those_without_a_gap():
    assert curves(None).complete
    assert not curves(OBSERVED).complete


@pytest.mark.parametrize("own_grids", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_likelihood_sees_nothing_else(own_grids, gaps):
    t = np.linspace(0.0, 1.0, 6)
    observed = torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) < 0.7 if gaps else None
    present = torch.tensor([True, False, True, True])
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    some = Curves(x, np.tile(t, (4, 1)) if own_grids else t, observed, present)
    some = replace(some, x=torch.where(some.seen, x, 0.0))
    expert = pima.get_expert("affine")
    scatter = 0.3 * torch.eye(2, dtype=torch.float64)[None]
    decoder = PhysicsDecoder(
        expert, expert.bounds(t), 1.0, np.array([[1.0, 0.2]]), scatter, torch.tensor([0.1]).double()
    )
    found = decoder.log_prob(some)[:, 0]
    assert found[1] == 0.0
    for d in (0, 2, 3):
        seen = some.seen[d]
        alone = Curves(some.x[d : d + 1, seen], t[seen.numpy()], None, torch.ones(1, dtype=torch.bool))
        torch.testing.assert_close(found[d], decoder.log_prob(alone)[0, 0])
