"""One soft material, several tests, one law: each test foretold from the others of its material.

    python benchmarks/hyperelastic.py            # what is not measured yet, then the table
    python benchmarks/hyperelastic.py --table    # only the table

The 49 tests of 11 materials that are stresses of one test each; five more, differences of true stresses, only train.
One test is left out, and every law of ``LAWS`` is fitted to the others together, ``noise="misfit"``. The law is chosen
from these alone, by the lowest BIC. Error: root mean square over points and measured components over that of the test.
Band: ``predict``'s 90 % band of measurements. Beside it the same law fitted to each of the other tests by itself, which
foretells from one test; and to the test itself. Every test appends a line to benchmarks/results/hyperelastic.jsonl. The
data need the folder in PIMA_DATA; its PROVENANCE.md says where they are from.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from pathlib import Path

import lines
import numpy as np
import scipy
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import PimaError

RESULTS = Path(__file__).parent / "results" / "hyperelastic.jsonl"
LAWS = {
    "neo-Hooke": ("neo_hooke", {}),
    "Mooney-Rivlin": ("mooney_rivlin", {}),
    "Yeoh": ("yeoh", {}),
    "Ogden, 1 term": ("ogden", {"terms": 1}),
    "Ogden, 2 terms": ("ogden", {"terms": 2}),
    "Gent": ("gent", {}),
    "Arruda-Boyce": ("arruda_boyce", {}),
    "Demiray": ("demiray", {}),
}
#: The test of a law, by the name that the data have for it.
TESTS = {
    "tension": "uniaxial",
    "compression": "uniaxial",
    "planar": "planar",
    "shear": "simple_shear",
    "shear_prestretched": "stretched_shear",
    "equibiaxial": "biaxial",
    "biaxial": "biaxial",
    "biaxial_difference": "biaxial_difference",
}
Array = np.ndarray
Curve = tuple[pima.Expert, dict[str, Array], Array]


@functools.cache
def tests_of(material: str) -> dict[str, tuple[str, dict[str, Array], dict[str, Array]]]:
    """Tests of a material by specimen: the mode, all deformations, and the stress by the law's test."""
    d = xr.open_dataset(Path(os.environ["PIMA_DATA"]) / "hyperelastic" / "hyperelastic.nc").load()
    found = {}
    for i in np.flatnonzero(d.material.values == material):
        there = np.isfinite(d.deformation.values[i])
        row = {name: d[name].values[i][there].astype(float) for name in ("stress", "stress_2", *_DEFORMATIONS)}
        mode = str(d["mode"].values[i])
        stresses = {TESTS[mode]: row["stress"]}
        if np.isfinite(row["stress_2"]).any():
            stresses["biaxial_2"] = row["stress_2"]
        found[str(d.specimen.values[i])] = mode, {name: row[name] for name in _DEFORMATIONS}, stresses
    return found


_DEFORMATIONS = ("stretch_1", "stretch_2", "shear")


def curves(material: str, law: str, specimens: tuple[str, ...]) -> dict[str, Curve]:
    """Some tests of a material as ``fit_together`` takes them; a test of two components is two curves."""
    energy, options = LAWS[law]
    family, out = _family(energy, **options), {}
    for specimen in specimens:
        _, deformation, stresses = tests_of(material)[specimen]
        for test, stress in stresses.items():
            expert = family[test]
            named = {"stretch": deformation["stretch_1"], **deformation}
            out[f"{specimen} {test}"] = expert, {name: named[name] for name in expert.inputs}, stress
    return out


_family = functools.cache(pima.hyperelastic)


@functools.cache
def fitted(material: str, law: str, specimens: frozenset[str]) -> pima.Solution | str:
    """The law fitted to some tests together, to a single curve by itself; why not, where it cannot be."""
    given = curves(material, law, tuple(sorted(specimens)))
    try:
        if len(given) > 1:
            return pima.fit_together(given, noise="misfit")
        ((expert, inputs, stress),) = given.values()
        return expert.fit(inputs, stress, noise="misfit")
    except PimaError as error:
        return str(error)


def foretold(solution: pima.Solution, expert: pima.Expert, inputs: dict[str, Array]) -> tuple[Array, Array]:
    """A test of the material from a fit to others: the curve, and half the width of its 90 % band of measurements."""
    if isinstance(solution, pima.TogetherSolution):
        band = solution.predict(expert, inputs)
        return band["mean"].values, 0.5 * (band.high - band.low).values
    value, slopes = (part for part in expert.value_and_jacobian(inputs, solution.fitted[0]))
    covariance = np.where(np.isfinite(solution.covariance[0]), solution.covariance[0], 0.0)
    noise = float(solution.data.variance[0]) * (1.0 + solution.noise[0].numbers()["amplitude"])
    relative = noise / float(np.mean(np.square(solution.data.y[0])))
    spread = np.maximum(np.einsum("tp,pq,tq->t", slopes, covariance, slopes), 0.0) + relative * np.mean(
        np.square(value)
    )
    return value, scipy.stats.t.ppf(0.95, 1.0) * np.sqrt(spread)


def score(solution: pima.Solution, material: str, law: str, specimen: str) -> tuple[float, float]:
    """Relative error, and share of the points in the 90 % band, of a test that a fit foretells."""
    residual, size, inside = [], [], []
    for expert, inputs, stress in curves(material, law, (specimen,)).values():
        value, half = foretold(solution, expert, inputs)
        residual.append(value - stress)
        size.append(stress)
        inside.append(np.abs(value - stress) <= half)
    residual, size = np.concatenate(residual), np.concatenate(size)
    return float(np.sqrt(np.mean(residual**2) / np.mean(size**2))), float(np.mean(np.concatenate(inside)))


def criterion(solution: pima.Solution) -> float:
    """BIC of a fit to the tests that are kept; of a single curve that of independent points."""
    if isinstance(solution, pima.TogetherSolution):
        return solution.bic
    points = float(solution.data.count[0])
    return points * float(np.log(solution.cost[0] / points)) + solution.fitted.size * float(np.log(points))


def run(material: str, specimen: str) -> dict:
    """One test left out."""
    began = time.process_time()
    kept = frozenset(tests_of(material)) - {specimen}
    row = {"mode": tests_of(material)[specimen][0], "errors": {}, "inside": {}, "bic": {}, "failed": {}}
    for law in LAWS:
        solution = fitted(material, law, kept)
        if isinstance(solution, str):
            row["failed"][law] = solution
            continue
        row["errors"][law], row["inside"][law] = (round(x, 4) for x in score(solution, material, law, specimen))
        row["bic"][law] = round(criterion(solution), 2)
    chosen = min(row["bic"], key=row["bic"].__getitem__)
    alone = [fitted(material, chosen, frozenset({one})) for one in kept]
    pairs = [score(one, material, chosen, specimen) for one in alone if not isinstance(one, str)]
    own = fitted(material, chosen, frozenset({specimen}))
    row |= {"chosen": chosen, "alone": [[round(x, 4) for x in pair] for pair in pairs]}
    row["own"] = None if isinstance(own, str) else [round(x, 4) for x in score(own, material, chosen, specimen)]
    return row | {"cpu_seconds": round(time.process_time() - began, 1)}


def kind_of(row: dict) -> str:
    """The list that a test belongs to."""
    if row["mode"] == "shear_prestretched":
        return "brain, sheared while stretched"
    return "brain" if row["material"].startswith("brain") else "rubber, silicone, gel"


def table(rows: list[dict]) -> None:
    """Errors by law and chosen law, and how many bands hold."""
    for kind in ("brain", "brain, sheared while stretched", "rubber, silicone, gel"):
        some = [row for row in rows if kind_of(row) == kind]
        if not some:
            continue
        columns = {
            law: [(row["errors"][law], row["inside"][law]) for row in some if law in row["errors"]] for law in LAWS
        }
        columns["chosen from the tests kept"] = [
            (row["errors"][row["chosen"]], row["inside"][row["chosen"]]) for row in some
        ]
        columns["the chosen law, from one other test"] = [tuple(pair) for row in some for pair in row["alone"]]
        columns["the chosen law, the test itself"] = [tuple(row["own"]) for row in some if row["own"]]
        for name, pairs in columns.items():
            errors, inside = np.array(pairs).T
            drawn = np.median(np.random.default_rng(0).choice(errors, (2000, len(errors))), axis=1)
            held = 100 * np.mean(inside >= 0.8)
            told = f"{np.median(errors):6.3f} ({drawn.std():.3f}) {errors.mean():8.3g}  {held:4.0f} % of {len(inside)}"
            print(f"  {name:36s} {told}")  # noqa: T201 - a program


def main() -> None:
    """Run what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    d = xr.open_dataset(Path(os.environ["PIMA_DATA"]) / "hyperelastic" / "hyperelastic.nc")
    known = {(row["material"], row["specimen"]) for row in lines.read(RESULTS)}
    every = [(str(m), str(s)) for m, s in zip(d.material.values, d.specimen.values, strict=True)]
    only_train = {s for (_, s), mode in zip(every, d["mode"].values, strict=True) if mode == "biaxial_difference"}
    for material, specimen in () if asked.table else every:
        if specimen not in only_train and (material, specimen) not in known:
            lines.append(RESULTS, {"material": material, "specimen": specimen, **run(material, specimen)})
    table(lines.read(RESULTS))


if __name__ == "__main__":
    main()
