"""Checks of how an expert behaves: the same every time, in every thread, touching nothing that is not its own."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from .case import Array, Case, Failure, close

_THREADS = 3


def _forms(case: Case, theta: Array) -> list[Array]:
    """Evaluate both forms once, for one parameter vector."""
    return [*case.expert.value_and_jacobian(case.t, theta), case.predict(theta)]


def _calls(case: Case, theta: Array) -> list[Array]:
    """Evaluate both forms and the guess, which costs more."""
    forms = _forms(case, theta)
    return [*forms, case.expert.guess(case.t, forms[0])]


def deterministic(case: Case) -> int:
    """Asked twice it answers the same, to the last bit."""
    first, again = _calls(case, case.thetas[0]), _calls(case, case.thetas[0])
    for what, a, b in zip(("values", "the Jacobian", "predict", "guess"), first, again, strict=True):
        if not np.array_equal(a, b, equal_nan=True):
            raise Failure(f"{what} differs from one call to the next by {np.nanmax(np.abs(a - b)):.2g}")
    return sum(a.size for a in first)


def thread_safe(case: Case) -> int:
    """Asked by several threads at once for different parameters, each gets its own answer."""
    thetas = case.thetas[:_THREADS]
    alone = [_calls(case, theta) for theta in thetas]
    gate = threading.Barrier(len(thetas), timeout=60)

    def work(theta: Array) -> list[Array]:
        gate.wait()
        return [answer for _ in range(5) for answer in _forms(case, theta)] + _calls(case, theta)

    with ThreadPoolExecutor(len(thetas)) as pool:
        together = list(pool.map(work, thetas))
    return sum(
        close("an answer in one of several threads", answer, expected, relative=100 * case.precision)
        for answers, expected_ones in zip(together, alone, strict=True)
        for answer, expected in zip(answers, expected_ones[:3] * 5 + expected_ones, strict=True)
    )


def no_global_random_state(case: Case) -> int:
    """It neither draws from nor seeds the random numbers of the process."""
    own, legacy, torched = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - put back below
    try:
        # A number drawn first, so that seeding with what was the seed already is seen too.
        random.random()  # noqa: S311 - as above
        np.random.random()  # noqa: NPY002 - as above
        torch.rand(1)
        before = _random_state()
        _forms(case, case.thetas[0])
        case.expert.starts(case.t, case.values[0])
        after = _random_state()
    finally:
        random.setstate(own)
        np.random.set_state(legacy)  # noqa: NPY002 - as above
        torch.set_rng_state(torched)
    for name, state in after.items():
        if state != before[name]:
            raise Failure(f"the global random state of {name} changed")
    return len(before)


def _random_state() -> dict[str, object]:
    numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 - as above
    return {
        "random": random.getstate(),
        "numpy": (numpy["key"].tobytes(), numpy["pos"]),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def inputs_unchanged(case: Case) -> int:
    """What it is given, and what it says of itself, are the same before and after, to the last bit."""
    expert = case.expert
    described = expert.to_dict()
    arrays = {"t": case.t, "theta": case.thetas, "y": case.values, "weights": np.ones(case.values.shape)}
    before = {name: array.copy() for name, array in arrays.items()}
    t, theta, y, weights = arrays.values()
    expert.value_and_jacobian(t, theta)
    expert.predict(torch.from_numpy(t), torch.from_numpy(theta))
    expert.guess(t, y, weights)
    expert.starts(t, y, weights, 3)
    expert.bounds(case.example.grid)
    expert.to_reported(theta)
    expert.reported_jacobian(theta)
    expert.fit(case.named(t), y, np.ones(y.shape[0]), start=theta[0])
    for name, array in arrays.items():
        if not np.array_equal(array, before[name], equal_nan=True):
            raise Failure(f"it changed the {name} it was given")
    if expert.to_dict() != described:
        raise Failure("it changed itself: to_dict() says something else after a few calls")
    return sum(array.size for array in arrays.values())
