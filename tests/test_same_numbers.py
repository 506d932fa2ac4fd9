"""The numbers of version 0.1, pinned: small fits of every option answer what they answered when they were pinned.

``tests/same_numbers/numbers.npz`` holds, for each case, what it found, and on what kind of machine. Large arrays are
held as a few numbers: how many, where they are NaN, the least and the largest, and three random projections. On a
machine of the same kind every number must come again to 1e-9 of its array's scale. On another one, sums in float32 end
in other last bits, and training carries them on: there the tolerances of ``ELSEWHERE`` hold, and a line of the test's
output says so.

The fits beside it, ``*.pima``, were saved by version 0.1 and stay as they are: what later versions write is no test of
whether they read this.

To pin anew, after a change that is meant to change numbers::

    OMP_NUM_THREADS=1 python tests/test_same_numbers.py --pin
"""

from __future__ import annotations

import os

# Before anything imports torch: as tests/conftest.py has it, for the command above.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import functools
import json
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy
import torch
import xarray as xr
from torch import nn

import pima_toolkit as pima
from pima_toolkit import experts

HERE = Path(__file__).parent / "same_numbers"
NUMBERS = HERE / "numbers.npz"

#: Of the scale of an array, on a machine of the same kind.
SAME = 1e-9

Numbers = dict[str, np.ndarray]


# Public names that may change: each is written here and nowhere else.


def parameters_of(fit: pima.Fit) -> xr.Dataset:
    return fit.parameters


def clusters_of(fit: pima.Fit) -> xr.Dataset:
    return fit.clusters


def training_of(fit: pima.Fit) -> xr.Dataset:
    # what test reports have is of the curves alone, and came later than the numbers pinned
    return fit.specimens.drop_vars([name for name in fit.specimens if str(name).startswith("tensile_")])


def history_of(fit: pima.Fit) -> xr.Dataset:
    return fit.history


def elbo_of(fit: pima.Fit) -> float:
    return fit.elbo


def associations_of(fit: pima.Fit) -> xr.Dataset:
    return fit.associations(names=["rate", "furnace"], permutations=99)


def stability_of(fit: pima.Fit) -> xr.Dataset:
    return fit.stability


# The data.


def bump(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    picture = 0.2 * rng.standard_normal((len(label), 8, 8))
    picture[label == 0, 1:4, 1:5] += 1.0
    picture[label == 1, 4:7, 2:7] += 1.0
    return picture


def specimens(count: int = 32, seed: int = 1) -> xr.Dataset:
    """Two populations: pictures, volumes, vectors, numbers, and curves of four kinds; rates and furnaces beside."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 2
    noise = lambda *shape: rng.standard_normal((count, *shape))  # noqa: E731
    volume = 0.2 * noise(4, 4, 4)
    volume[label == 1, :, 1:3] += 1.0
    strain = np.linspace(0.0, 1.0, 9)
    rate = 10.0 ** rng.integers(-1, 3, count)
    stiffness = np.where(label == 0, 2.0, 5.0) + 0.15 * noise()
    power = np.where(label == 0, 0.25, 0.5) + 0.01 * noise()
    time = np.linspace(0.0, 1.0, 8) * rng.uniform(0.8, 1.2, (count, 1))
    voltage = np.where(label == 0, 5.0, 2.0)[:, None] + np.where(label == 0, -3.0, 4.0)[:, None] * time
    curve = {"units": "MPa"}
    return xr.Dataset(
        {
            "picture": (("specimen", "y", "x"), bump(rng, label)),
            "volume": (("specimen", "z", "v", "u"), volume),
            "vector": (
                ("specimen", "line"),
                np.where(label == 0, -1.0, 1.0)[:, None] * [1.0, 0.5, 0.0] + 0.3 * noise(3),
            ),
            "number": ("specimen", 10.0 * label + noise()),
            "stress": (("specimen", "strain"), stiffness[:, None] * strain + 0.05 * noise(9), curve),
            "flow": (
                ("specimen", "strain"),
                3 * stiffness[:, None] * strain ** power[:, None] + 0.05 * noise(9),
                curve,
            ),
            "rated": (
                ("specimen", "strain"),
                (stiffness * rate**0.05)[:, None] * strain + 0.05 * noise(9),
                curve,
            ),
            "voltage": (("specimen", "point"), voltage + 0.1 * noise(8), {"units": "V", "independent": "time"}),
        },
        coords={
            "strain": ("strain", strain, {"units": "1"}),
            "time": (("specimen", "point"), time, {"units": "s"}),
            "rate": ("specimen", rate, {"units": "1/s"}),
            "furnace": ("specimen", (900.0 + 50.0 * label + 40.0 * noise()).round()),
            "specimen": [f"s{i:02d}" for i in range(count)],
        },
    )


def with_gaps(data: xr.Dataset) -> xr.Dataset:
    """Points of curves missing: here and there, and ends."""
    rng = np.random.default_rng(5)
    out = data.copy(deep=True)
    for name in ("stress", "flow", "rated", "voltage"):
        values = out[name].values
        values[rng.random(values.shape) < 0.1] = np.nan
        values[::5, -2:] = np.nan
    return out


def with_lacks(data: xr.Dataset, *names: str) -> xr.Dataset:
    """Each of the modalities missing of every fourth specimen, of another one each."""
    number = xr.DataArray(np.arange(data.sizes["specimen"]), dims="specimen")
    return data.assign({name: data[name].where(number % 4 != k + 1) for k, name in enumerate(names)})


# What is pinned of an array, and what of an answer.


def reduced(values: np.ndarray) -> np.ndarray:
    """A few numbers that no change of an array leaves as they are; small arrays are their own."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    if flat.size < 7:  # so that seven numbers are always a reduced array
        return flat
    rng = np.random.default_rng(flat.size)
    there = np.isfinite(flat)
    filled = np.where(there, flat, 0.0)
    mask = rng.standard_normal(flat.size) @ ~there
    projections = rng.standard_normal((3, flat.size)) @ filled / np.sqrt(flat.size)
    return np.array([flat.size, mask, filled.min(), filled.max(), *projections])


def scale_of(pinned: np.ndarray) -> float:
    """The largest absolute value of what was reduced."""
    part = pinned[2:4] if pinned.size == 7 else pinned
    finite = np.abs(part[np.isfinite(part)])
    return float(finite.max()) if finite.size else 0.0


def numbers_of(answer: xr.Dataset, prefix: str) -> Numbers:
    """All numbers of an answer; parameters one by one, since they have scales of their own."""
    found: Numbers = {}
    for name, array in sorted(answer.data_vars.items()):
        if array.dtype.kind not in "biuf" or name == "seconds":
            continue
        if "parameter" in array.dims and array.sizes["parameter"] > 1:
            for k, label in enumerate(answer["parameter"].values if "parameter" in answer.coords else range(99)):
                if k < array.sizes["parameter"]:
                    found[f"{prefix}.{name}[{label}]"] = array.isel(parameter=k).values
        else:
            found[f"{prefix}.{name}"] = array.values
    return found


def everything(fit: pima.Fit, new: xr.Dataset, *, thorough: bool) -> Numbers:
    """What a fit answers: its parameters, populations and training, and specimens it has not seen."""
    options = fit.model.options
    found = {"elbo": np.array(elbo_of(fit))}
    found |= numbers_of(history_of(fit), "history")
    found |= numbers_of(parameters_of(fit), "parameters")
    found |= numbers_of(clusters_of(fit), "clusters")
    found |= numbers_of(training_of(fit), "training")
    found |= numbers_of(fit.infer(new, seed=3), "infer")
    names = list(options.modalities)
    for name in names if thorough else names[:1]:
        if len(names) > 1:
            found |= numbers_of(fit.infer(new[[name]], coverage=0.8), f"infer({name})")
    if thorough:
        positions = np.linspace(-1.5, 1.5, 3 * options.latent_dim).reshape(3, -1)
        at = {"rate": 2.0} if any(option.expert.covariates for option in options.physics.values()) else None
        found |= numbers_of(fit.decode(positions, at=at), "decode")
        found |= numbers_of(fit.traverse(0, std=2.0, steps=3, at=at), "traverse")
        found |= numbers_of(fit.generate(options.clusters - 1, n=5, seed=4, at=at), "generate")
        found |= numbers_of(associations_of(fit), "associations")
        found |= numbers_of(stability_of(fit), "stability")
        if len(names) > 1:
            found |= numbers_of(fit.next_measurements(new[names[:1]], names[-1], seed=5), "next_measurements")
    return found


# The cases: fits of a model.


@dataclass(frozen=True)
class Case:
    """A small fit; its modalities are made when it runs, networks of the user with a seed."""

    modalities: Callable[[], Mapping[str, pima.Neural | pima.Physics]]
    model: Mapping[str, object] = field(default_factory=dict)
    fit: Mapping[str, object] = field(default_factory=dict)
    data: Callable[[xr.Dataset], xr.Dataset] = lambda data: data
    count: int = 32
    thorough: bool = False


def made(case: Case) -> pima.Fit:
    data = case.data(specimens(case.count))
    modalities = case.modalities()
    # What was pinned are the paper's rules where there are networks; by evidence there was nothing in 0.1.
    inference = "paper" if any(isinstance(option, pima.Neural) for option in modalities.values()) else None
    model = pima.PIMA(modalities, **{"clusters": 2, "latent_dim": 2, "inference": inference, **case.model})
    settings = {"epochs": 2, "crossmodal_epochs": 2, "precision": "float32", "device": "cpu", "progress": False}
    return model.fit(data, **{**settings, **case.fit})


def of_case(case: Case) -> Numbers:
    return everything(made(case), specimens(7, seed=2), thorough=case.thorough)


class Own(nn.Module):
    """An encoder of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(64, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.features(x.flatten(1)))


def own_networks() -> Mapping[str, pima.Neural | pima.Physics]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
        return {"picture": pima.Neural(encoder=Own(), decoder=decoder), "stress": pima.Physics("proportional")}


class Relaxing(pima.TorchExpert):
    """A curve that no formula says, as far as the toolkit knows.

    Valid for: tests.
    """

    name, t = "relaxing", "strain"
    parameters = (
        pima.Parameter("start", unit="{y}"),
        pima.Parameter("rate", unit="{y}/{t}", lower=-20.0, upper=20.0),
    )

    def simulate(self, t: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        start, rate = theta[..., :1], theta[..., 1:]
        return start + rate * t - 0.1 * torch.tanh(t)


def hardening() -> pima.SympyExpert:
    return pima.SympyExpert("K * strain**n", t="strain", units={"K": "{y}"}, bounds={"K": (0, None), "n": (0, 1)})


def rated() -> pima.SympyExpert:
    return pima.SympyExpert(
        "E * strain * rate**m", t="strain", covariates=("rate",), units={"E": "MPa"}, bounds={"m": (-1, 1)}
    )


def pair(neural: str = "vector", curve: str = "stress", law: object = "proportional", **options: object) -> Callable:
    """A neural modality and a curve."""
    of_law = {key: options.pop(key) for key in ("scatter", "noise", "window", "vary", "priors") if key in options}

    def modalities() -> Mapping[str, pima.Neural | pima.Physics]:
        expert = law() if callable(law) and not isinstance(law, type) else law
        return {neural: pima.Neural(**options), curve: pima.Physics(expert, **of_law)}

    return modalities


def five() -> Mapping[str, pima.Neural | pima.Physics]:
    return {
        "picture": pima.Neural(),
        "vector": pima.Neural(noise="learned"),
        "stress": pima.Physics("proportional"),
        "voltage": pima.Physics("affine", scatter="none"),
        "volume": pima.Neural(),
    }


def without_most_curves(data: xr.Dataset) -> xr.Dataset:
    number = xr.DataArray(np.arange(data.sizes["specimen"]), dims="specimen")
    return data.assign(stress=data.stress.where(number % 5 < 2))


FITS = {
    "as it comes": Case(pair("picture"), thorough=True, count=40),
    "latent responsibilities": Case(pair(), {"responsibilities": "latent"}),
    "sampled responsibilities": Case(pair(), {"responsibilities": "sampled", "consistency": 2.0}),
    "fused posterior": Case(pair("picture"), {"combine": "posterior", "beta": 0.5}, thorough=True),
    "single gaussian": Case(pair(), {"crossmodal": "gaussian", "prior_expert": True}, thorough=True),
    "dropout": Case(pair("picture"), {"crossmodal": "dropout", "latent_dim": 3}, thorough=True),
    "prior expert": Case(pair(), {"prior_expert": True, "consistency": 0.0, "beta": 2.0}),
    "em by epochs": Case(pair(), fit={"em": "epoch", "epochs": 3}),
    "adam": Case(pair(), fit={"update": "adam", "epochs": 3}, thorough=True),
    "adam by epochs": Case(pair(curve="flow", law=hardening), fit={"update": "adam", "em": "epoch"}),
    "random start": Case(pair(), fit={"start": "random", "seed": 4}),
    "the paper's recipe": Case(
        pair("picture", encoder="paper", decoder="paper", scatter="none", noise="unit"),
        {"responsibilities": "sampled", "combine": "posterior", "crossmodal": "gaussian", "prior_expert": True},
        {"em": "epoch", "update": "adam", "start": "random"},
    ),
    "rates and batches": Case(pair(), fit={"learning_rate": 2e-3, "weight_decay": 0.1, "batch_size": 8, "epochs": 3}),
    "three clusters": Case(pair(), {"clusters": 3, "latent_dim": 1}, {"seed": 2}),
    "one cluster": Case(pair("picture"), {"clusters": 1}),
    "two restarts": Case(pair(), fit={"restarts": 2, "patience": 1, "epochs": 3}, thorough=True),
    "no scatter, noise of clusters": Case(pair(scatter="none", noise="cluster", curve="flow", law=hardening)),
    "unit noise in a window": Case(pair(noise="unit", window=(0.1, 0.8))),
    "noise of clusters in a window": Case(pair(noise="cluster", window=(0.0, 0.7)), data=with_gaps),
    "priors": Case(pair(priors={"slope": (3.0, 0.2)}), thorough=True),
    "priors of a formula": Case(pair(curve="flow", law=hardening, priors={"n": (0.3, 0.02)})),
    "known": Case(pair(curve="flow", law=lambda: hardening().fixed(n=0.4))),
    "tied": Case(pair(curve="flow", law=lambda: pima.SympyExpert("K * strain**n", t="strain").tied(n="0.05*K"))),
    "latent parameters": Case(pair("picture", vary="latent"), count=48, thorough=True),
    "latent parameters and rates": Case(
        pair(curve="rated", law=rated, vary="latent"), count=44, data=with_gaps, thorough=True
    ),
    "latent parameters of ragged curves": Case(
        pair(curve="voltage", law="affine", vary="latent", noise="cluster"), data=with_gaps
    ),
    "rates": Case(pair(curve="rated", law=rated), thorough=True),
    "rates without scatter": Case(pair(curve="rated", law=rated, scatter="none"), data=with_gaps),
    "ragged curves": Case(pair(curve="voltage", law="affine"), data=with_gaps, thorough=True),
    "gaps": Case(pair(curve="flow", law=hardening), data=with_gaps),
    "five, some of which lack": Case(
        five,
        data=lambda data: with_lacks(with_gaps(data), "picture", "stress", "voltage"),
        thorough=True,
    ),
    "curves of few": Case(pair("vector"), data=without_most_curves),
    "curves of few, pictures of all": Case(pair("picture"), data=without_most_curves),
    "neural alone": Case(lambda: {"vector": pima.Neural(), "number": pima.Neural()}, thorough=True),
    "pictures alone": Case(lambda: {"picture": pima.Neural(noise="learned")}, count=16),
    "pooled pictures, mirrored and shifted": Case(
        lambda: {"picture": pima.Neural("pooled", flips=("x",), shift=0.1)}, count=16
    ),
    "mirrored pictures with curves": Case(pair("picture", flips=("x", "y"), shift=0.05), thorough=True),
    "volumes": Case(lambda: {"volume": pima.Neural(), "number": pima.Neural(noise="learned")}),
    "physics alone": Case(lambda: {"stress": pima.Physics("proportional")}, thorough=True),
    "two curves alone": Case(
        lambda: {"stress": pima.Physics("proportional"), "flow": pima.Physics(hardening(), noise="cluster")},
        data=lambda data: with_lacks(data, "stress", "flow"),
        thorough=True,
    ),
    "own networks": Case(own_networks),
    "torch expert": Case(pair(law=Relaxing), fit={"start": "random", "epochs": 1, "crossmodal_epochs": 1}, count=16),
    "lmfit expert": Case(pair(law=lambda: pima.LmfitExpert("QuadraticModel", t="strain"))),
    "bfloat16": Case(pair("picture"), fit={"precision": "bfloat16"}),
}


# The cases: experts alone, and what is asked of a fit about its physics.


def of_solution(solution: pima.Solution, prefix: str) -> Numbers:
    found = {
        "parameters": solution.fitted,
        "shown": solution.parameters.value.values,
        "low": solution.parameters.low.values,
        "high": solution.parameters.high.values,
        "cost": solution.cost,
        "converged": np.asarray(solution.status) > 0,
        "agreement": solution.agreement,
        "at_bound": solution.at_bound,
        "shown_std_errors": solution.parameters.std_error.values,
        "covariance": solution.covariance,
        "naive_covariance": solution.naive_covariance,
        "unidentified": solution.unidentified,
    }
    out: Numbers = {}
    for name, array in found.items():
        if array is None:
            continue
        array = np.asarray(array, dtype=np.float64)
        if array.ndim == 2:  # parameters have scales of their own
            out |= {f"{prefix}.{name}[{k}]": array[:, k] for k in range(array.shape[1])}
        else:
            out[f"{prefix}.{name}"] = array
    return out


def gamma_of(data: xr.Dataset) -> np.ndarray:
    share = np.random.default_rng(3).uniform(0.02, 0.2, data.sizes["specimen"])
    first = np.where(np.arange(data.sizes["specimen"]) % 2 == 0, 1 - share, share)
    return np.stack([first, 1 - first], 1)


def linear_expert() -> Numbers:
    data, law = with_gaps(specimens(20)), pima.get_expert("affine")
    t, y, time, voltage = data.strain.values, data.stress.values, data.time.values, data.voltage.values
    found = of_solution(law.fit(t, y[1]), "one curve")
    points = law.fit(t, y[1], weights=np.linspace(0.5, 2.0, 9), y_unit="MPa")
    found |= of_solution(points, "weights of points") | numbers_of(points.profile(), "one curve.confidence")
    several = law.fit(t, y, gamma_of(data))
    found |= of_solution(several, "clusters")
    found |= numbers_of(several.band(), "clusters.band")
    found |= numbers_of(several.band(t[2:5], level=0.5, of="specimen"), "clusters.band of a specimen")
    found |= numbers_of(several.profile("slope"), "clusters.confidence")
    found |= numbers_of(several.bootstrap(20, seed=1), "clusters.bootstrap")
    found |= numbers_of(several.derive({"ratio": "slope / (1 + intercept**2)"}), "clusters.derive")
    found |= of_solution(law.fit(t, y, priors={"slope": (3.0, 0.1)}), "pooled, with a prior")
    found |= of_solution(law.fit(t, y, noise_std=0.05), "pooled, known noise")
    found |= of_solution(law.fit(t, y, fixed={"intercept": 0.0}), "pooled, fixed")
    return found | of_solution(law.fit(time, voltage, gamma_of(data)[:, 0]), "ragged")


def formula_expert() -> Numbers:
    data, law = with_gaps(specimens(20)), hardening()
    t, y, gamma = data.strain.values, data.flow.values, gamma_of(data)
    several = law.fit(t, y, gamma)
    found = of_solution(several, "clusters") | of_solution(law.fit(t, y), "pooled")
    found |= numbers_of(several.profile("n"), "clusters.confidence")
    found |= numbers_of(several.bootstrap(10, seed=2), "clusters.bootstrap")
    found |= numbers_of(several.band(level=0.8), "clusters.band")
    found |= numbers_of(several.derive({"energy": pima.quantities.toughness()}), "clusters.derive")
    found |= of_solution(law.fit(t, y, gamma, priors={"n": (0.3, 0.01)}), "priors")
    found |= of_solution(law.fit(t, y[2], start={"K": 1.0, "n": 0.9}, noise_std=0.05), "start, known noise")
    found |= of_solution(law.fit(t, y, fixed={"n": 0.4}), "fixed") | of_solution(law.tied(n="0.05*K").fit(t, y), "tied")
    found["guess"] = law.guess(t, y)
    found["starts"] = law.starts(t, y[:2], count=4)
    inputs = {"strain": t, "rate": data.rate.values}
    rates = rated().fit(inputs, data.rated.values, gamma)
    found |= of_solution(rates, "rates") | numbers_of(rates.band({"strain": t, "rate": 3.0}), "rates.band")
    return found


def torch_expert() -> Numbers:
    data, law = with_gaps(specimens(12)), Relaxing()
    found = of_solution(law.fit(data.time.values, data.voltage.values, gamma_of(data)), "clusters")
    one = law.fit(np.linspace(0, 1, 9), data.stress.values[1])
    return found | of_solution(one, "one curve") | numbers_of(one.band(), "one curve.band")


def lmfit_expert() -> Numbers:
    data = with_gaps(specimens(12))
    t, y = data.strain.values, data.stress.values
    law = pima.LmfitExpert("GaussianModel")
    x = np.linspace(0, 10, 25)
    peak = law.fit(x, 5 * np.exp(-0.5 * (x - 4) ** 2) + 0.05 * np.random.default_rng(8).standard_normal((6, 25)))
    found = of_solution(peak, "peaks") | numbers_of(peak.profile("center"), "peaks.confidence")
    found |= of_solution(pima.LmfitExpert("QuadraticModel").fit(t, y, gamma_of(data)), "clusters")
    ours = pima.get_expert("affine").to_lmfit()
    there = np.isfinite(y[1])
    result = ours.fit(y[1][there], t=t[there], params=ours.guess(y[1][there], t=t[there]))
    found["to_lmfit"] = np.array([result.params[k].value for k in sorted(result.params)])
    found["to_lmfit.errors"] = np.array([result.params[k].stderr for k in sorted(result.params)])
    return found


def installed_experts() -> Numbers:
    """Every expert that comes with the toolkit, at its example, and fitted to noise around it."""
    found: Numbers = {}
    for name, law in sorted(experts.experts().items()):
        if law.origin is None or law.origin.plugin != "pima-experts":
            continue  # of another plugin that happens to be installed
        example = experts.example_of(law)
        theta = example.theta(law.parameters)
        value, slope = law.value_and_jacobian(example.inputs(law), theta)
        found[f"{name}.value"] = value
        found |= {f"{name}.slope[{k}]": slope[..., k] for k in range(slope.shape[-1])}
        if law.covariates:  # five curves, as one value of each covariate would leave parameters open
            shares = np.array([0.5, 0.8, 1.0, 1.2, 1.5])
            rows = {k: v * np.roll(shares, 2 * i) for i, (k, v) in enumerate(example.covariates.items())}
            grid = {law.t: example.grid, **rows}
            single = [{law.t: example.grid, **{k: v[i] for k, v in rows.items()}} for i in range(len(shares))]
            value = np.stack([law.value_and_jacobian(inputs, theta)[0] for inputs in single])
        else:
            grid = example.grid
        noise = np.random.default_rng(len(name)).standard_normal(value.shape)
        solution = law.fit(grid, value + 0.01 * np.abs(value).max() * noise)
        found |= {f"{name}.fitted[{k}]": solution.fitted[:, k] for k in range(slope.shape[-1])}
        found |= {
            f"{name}.std_error[{k}]": solution.parameters.std_error.values[:, k] for k in range(len(law.reported))
        }
        found[f"{name}.cost"] = solution.cost
    return found


def laws_of_a_fit() -> Numbers:
    data = specimens(32)
    fit = made(Case(pair(curve="flow", law=hardening)))
    found = numbers_of(fit.derive({"half": "K / 2**n", "energy": pima.quantities.toughness()}), "derive")
    found |= numbers_of(fit.compare(["proportional", "affine"], data=data, folds=2), "compare")
    result = fit.to_lmfit(0, data=data)
    found["to_lmfit"] = np.array([result.params[k].value for k in sorted(result.params)])
    found["to_lmfit.errors"] = np.array([result.params[k].stderr for k in sorted(result.params)])
    return found | numbers_of(fit.calibration(specimens(16, seed=3)), "calibration")


def number_of_clusters() -> Numbers:
    model = pima.PIMA(pair()(), clusters=1, latent_dim=1, inference="paper")
    settings = {"epochs": 2, "precision": "float32", "device": "cpu", "progress": False}
    found = pima.select_clusters(model, specimens(32), clusters=(1, 2), restarts=2, **settings)
    return {"clusters": np.array(found.clusters)} | numbers_of(found.table, "table")


def generated_data() -> Numbers:
    """What the cases are made of, so that a change of NumPy's is told from ours; and the toolkit's own lattices."""
    found = numbers_of(specimens(), "specimens") | numbers_of(with_gaps(specimens()), "with gaps")
    return found | numbers_of(pima.datasets.lattice(specimens=4, seed=1), "lattice")


OTHERS: dict[str, Callable[[], Numbers]] = {
    "data": generated_data,
    "linear expert": linear_expert,
    "formula": formula_expert,
    "expert in torch": torch_expert,
    "expert of lmfit": lmfit_expert,
    "installed experts": installed_experts,
    "laws of a fit": laws_of_a_fit,
    "number of clusters": number_of_clusters,
}

#: Fits in files, saved by 0.1: none is written where there is one.
SAVED = {
    "fit_0_1": Case(pair("picture", encoder="paper", decoder="paper"), {"crossmodal": "dropout"}),
    "latent_0_1": Case(
        lambda: {"stress": pima.Physics("proportional"), "rated": pima.Physics(rated(), vary="latent")},
        count=44,
        data=with_gaps,
    ),
}


def of_saved(name: str) -> Numbers:
    fit = pima.load(HERE / f"{name}.pima")
    return everything(fit, specimens(7, seed=2), thorough=True)


CASES: dict[str, Callable[[], Numbers]] = {
    **{name: functools.partial(of_case, case) for name, case in FITS.items()},
    **OTHERS,
    **{f"saved: {name}": functools.partial(of_saved, name) for name in SAVED},
}


# The pins.


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """One thread, as sums of several end in other bits; and no word on fits of two epochs, of which none is good."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pima.PimaWarning)
            yield
    finally:
        torch.set_num_threads(threads)


def found_by(case: str) -> Numbers:
    with quiet():
        return {name: reduced(values) for name, values in CASES[case]().items()}


def machine() -> dict[str, str]:
    """What decides the last bits: releases, and the kind of processor."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.*)$", text, re.MULTILINE)
    vector = sorted(f for f in (flags[1].split() if flags else ()) if f.startswith(("avx", "amx", "fma")))
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": model[1].strip() if model else platform.processor(),
        "vector units": " ".join(vector),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def pin() -> None:
    """Write what is found now; the fits in files only where there are none."""
    HERE.mkdir(exist_ok=True)
    for name, case in SAVED.items():
        if not (HERE / f"{name}.pima").exists():
            with quiet():
                made(case).save(HERE / f"{name}.pima")
    # Of each case one row of numbers, and how they are shared out: a file of its own for each array would be large.
    arrays = {"machine": np.array(json.dumps(machine()))}
    for case in CASES:
        found = found_by(case)
        arrays[f"{case}: names"] = np.array(json.dumps({name: values.size for name, values in found.items()}))
        arrays[case] = np.concatenate(list(found.values()))
    np.savez_compressed(NUMBERS, **arrays)


@functools.cache
def pins() -> tuple[dict[str, str], dict[str, Numbers]]:
    """On what kind of machine, and what each case found there."""
    with np.load(NUMBERS, allow_pickle=False) as file:
        held = {key: file[key] for key in file.files}
    cases = {}
    for case in (key for key in held if f"{key}: names" in held):
        sizes = json.loads(str(held[f"{case}: names"]))
        parts = np.split(held[case], np.cumsum(list(sizes.values()))[:-1])
        cases[case] = dict(zip(sizes, parts, strict=True))
    return json.loads(str(held["machine"])), cases


def away(pinned: np.ndarray, found: np.ndarray) -> float:
    """The largest difference, in units of the array's scale; infinite where shapes or what is not finite differ."""
    if pinned.shape != found.shape or not np.array_equal(np.isfinite(pinned), np.isfinite(found)):
        return np.inf
    there = np.isfinite(pinned)
    if not np.array_equal(pinned[~there], found[~there], equal_nan=True):
        return np.inf
    difference = np.abs(pinned[there] - found[there]).max(initial=0.0)
    return 0.0 if difference == 0.0 else float(difference / max(scale_of(pinned), np.finfo(float).tiny))


#: On a machine of another kind. Measured with the vector units of this one held to AVX2 (``ATEN_CPU_CAPABILITY=avx2
#: DNNL_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell``), the largest difference beside each; tolerances are several times
#: that. Networks take few steps at high rates here, which is when the last bit of float32 grows most.
ELSEWHERE = {
    "least squares": 1e-6,  # float64, iterated until nothing moves: 2e-12
    "saved": 1e-4,  # networks in float32 that are not trained any further: 3e-7
    "parameters": 0.05,  # physics after training: 0.013
    "trained": 0.5,  # anything that networks say after training: 0.16
}
#: Shares of few specimens, choices and orders, that one bit may turn: elsewhere there only has to be as many of them.
TURNS = (
    "typicality",
    "out_of_population",
    "next_measurements",
    "consistency",
    "agreement",
    "held",
    "cluster",
    "p_value",
)


def tolerance(case: str, quantity: str, *, same: bool) -> float:
    """Largest difference in units of the array's scale."""
    name = quantity.split("[")[0]
    if same:
        return SAME
    if case.startswith("saved"):
        return ELSEWHERE["saved"]
    if case in OTHERS and case not in ("laws of a fit", "number of clusters"):
        return ELSEWHERE["least squares"]
    if {name.split(".")[0], name.split(".")[-1]} & set(TURNS):
        return np.inf
    return ELSEWHERE["parameters" if name.startswith(("parameters.", "elbo", "derive", "to_lmfit")) else "trained"]


def test_every_case_is_pinned_and_no_other():
    assert set(pins()[1]) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_that_were_pinned(case, record_property):
    where, cases = pins()
    here = machine()
    other = [f"{key}: {here[key]}, pinned with {where[key]}" for key in where if here[key] != where[key]]
    said = "another kind of machine, looser tolerances: " + "; ".join(other) if other else "the same kind of machine"
    record_property("machine", said)
    print(said)  # noqa: T201 - shown with a failure, and by -rP
    pinned, found = cases[case], found_by(case)
    assert list(found) == list(pinned), f"{case} answers other quantities than were pinned"
    assert {n: a.shape for n, a in found.items()} == {n: a.shape for n, a in pinned.items()}
    differences = {name: away(pinned[name], found[name]) for name in pinned}
    wrong = [name for name, by in differences.items() if not by <= tolerance(case, name, same=not other)]
    lines = [f"{len(wrong)} of {len(pinned)} quantities of {case!r} are others than were pinned ({said}):"]
    for name in sorted(wrong, key=differences.get, reverse=True):
        lines += [f"{case} | {name}: {differences[name]:.2g} of its scale away"]
        lines += [f"  pinned {pinned[name].tolist()}", f"  found  {found[name].tolist()}"]
    assert not wrong, "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Pin the numbers anew.")
    parser.add_argument("--pin", action="store_true", required=True)
    parser.parse_args()
    pin()
    sys.exit(0)
