"""How often the number of populations found in curves is right, undecided or wrong.

    python benchmarks/how_many.py              # 60 simulated data sets; those that are there already are not repeated
    python benchmarks/how_many.py --sets 200
    python benchmarks/how_many.py --table      # only print what was measured before

Curves that are linear in 2 to 5 parameters; 1 to 6 populations of at least ten specimens and three for each parameter,
30 to 300 together, of unlike sizes, whose long shapes differ in volume, the nearest two at least four standard
deviations apart (of scatter and error of a curve). Beside it the lowest BIC of Gaussian mixtures of scikit-learn (tied,
full, diagonal, spherical) on each curve's own least squares. Undecided: more than one number is possible; wrong: one
number, and not the true one; or the true one is not among the possible. Every set appends a line to
benchmarks/results/how_many.jsonl. The criterion was settled on 35 other sets drawn in the same way.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import lines
import numpy as np
import xarray as xr
from sklearn.mixture import GaussianMixture

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "how_many.jsonl"
T = np.linspace(-1.0, 1.0, 40)
TERMS = ("1", "u", "(3*u**2 - 1)/2", "(5*u**3 - 3*u)/2", "(35*u**4 - 30*u**2 + 3)/8")
NOISE, MOST = 0.3, 8


def drawn(rng: np.random.Generator) -> tuple[int, np.ndarray, np.ndarray, float]:
    """Number of populations, parameters (N, P), labels, and the distance of the nearest two populations."""
    while True:
        clusters, P = int(rng.integers(1, 7)), int(rng.integers(2, 6))
        specimens, least = int(np.exp(rng.uniform(np.log(30), np.log(300)))), max(10, 3 * P)
        if clusters * least <= specimens:
            break
    extra = rng.multinomial(specimens - clusters * least, rng.dirichlet(np.full(clusters, 3.0)))
    label = np.repeat(np.arange(clusters), least + extra)
    root = 0.5 * rng.normal(size=(P, P)) + np.eye(P)
    shapes = [root @ root.T * np.exp(rng.normal(0.0, 0.3)) for _ in range(clusters)]
    basis = np.polynomial.legendre.legvander(T, P - 1)
    error = np.linalg.inv(basis.T @ basis) * NOISE**2
    apart, middle = 4.0 + rng.exponential(1.0), 3.0 * rng.normal(size=(clusters, P))
    distance = [
        np.sqrt(d @ np.linalg.solve(0.5 * (shapes[i] + shapes[j]) + error, d))
        for i in range(clusters)
        for j in range(i)
        for d in [middle[i] - middle[j]]
    ]
    middle = middle * apart / min(distance, default=1.0)
    phi = np.stack([rng.multivariate_normal(middle[c], shapes[c]) for c in label])
    return clusters, phi, label, apart


def by_mixtures(phi: np.ndarray, seed: int) -> int:
    """The number of the mixture with the lowest BIC, of all its shapes, on estimates (N, P)."""
    z = (phi - phi.mean(0)) / phi.std(0)
    found = []
    for number in range(1, MOST + 1):
        for shape in ("tied", "full", "diag", "spherical"):
            mixture = GaussianMixture(number, covariance_type=shape, n_init=5, reg_covar=1e-3, random_state=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append((mixture.fit(z).bic(z), number))
    return min(found)[1]


def run(seed: int) -> dict:
    """One data set."""
    rng = np.random.default_rng(seed)
    clusters, phi, label, apart = drawn(rng)
    P = phi.shape[1]
    basis = np.polynomial.legendre.legvander(T, P - 1)
    y = phi @ basis.T + rng.normal(0.0, NOISE, (len(phi), len(T)))
    law = pima.SympyExpert(" + ".join(f"p{k}*({term})" for k, term in enumerate(TERMS[:P])), t="u")
    data = xr.Dataset({"y": (("specimen", "u"), y)}, coords={"u": T})
    model = pima.PIMA({"y": pima.Physics(law)}, clusters=1)
    began = time.process_time()
    found = pima.select_clusters(model, data, clusters=range(1, MOST + 1))
    seconds = time.process_time() - began
    own = np.linalg.lstsq(basis, y.T, rcond=None)[0].T
    assigned = found.table.assigned.sel(clusters=found.clusters).values
    return {
        "clusters": clusters,
        "parameters": P,
        "specimens": len(phi),
        "apart": round(apart, 2),
        "found": found.clusters,
        "possible": list(found.possible),
        "mixtures": by_mixtures(own, seed),
        "ari": round(float(pima.metrics.ari(label, assigned)), 3),
        "cpu_seconds": round(seconds, 2),
    }


def table() -> None:
    """Shares of all sets."""
    rows = list(lines.read(RESULTS))
    decided = [row for row in rows if len(row["possible"]) == 1]
    held = [row for row in rows if row["clusters"] in row["possible"]]
    right = [row for row in decided if row["found"] == row["clusters"]]
    undecided, wrong = len(held) - len(right), len(rows) - len(held)
    told = [
        f"{len(rows)} sets: right {len(right)}, undecided with the truth among them {undecided}, wrong {wrong}",
        f"median {np.median([row['cpu_seconds'] for row in rows]):.1f} CPU s",
        f"scikit-learn's mixtures by BIC: right {sum(row['mixtures'] == row['clusters'] for row in rows)}",
        *(f"wrong: {row}" for row in rows if row["clusters"] not in row["possible"]),
    ]
    print("\n".join(told))  # noqa: T201 - a program


def main() -> None:
    """Run what is not there yet, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=60)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    known = {row["seed"] for row in lines.read(RESULTS)}
    for seed in () if asked.table else range(100, 100 + asked.sets):
        if seed not in known:
            lines.append(RESULTS, {"seed": seed, **run(seed)})
    table()


if __name__ == "__main__":
    main()
