"""What a fit says of itself against what is so: confidence, bands and errors on specimens that are held out.

    python benchmarks/honesty.py                          # every case; a run that is there already is not repeated
    python benchmarks/honesty.py noise digits --seeds 2   # some cases, two seeds or folds of each
    python benchmarks/honesty.py lattice --without paper  # without some methods
    python benchmarks/honesty.py --table                  # only print what was measured before

noise: three overlapping populations of lines, with pictures of noise and with pictures that say a little; digits: with
lines; mnist: the same with 60,000 handwritten digits; lattice: generated photographs and curves; spinodoid: measured
curves, drawn pictures, folds by morphology; perovskite: films, folds by composition. Beside inference="evidence" stand
inference="paper" and, on the same specimens, simple methods: the truth's own posterior where the truth is known, two
steps (populations of the curves alone, then a classifier of pictures), pima.baselines. Every run appends one line to
benchmarks/results/honesty.jsonl. Nothing was chosen on specimens held out. On
training folds were settled how what is said of parameters is judged (perovskite), and up to which frequency the
spectrum of a picture is heard (spinodoid); spinodoid, perovskite and MNIST need the folder in PIMA_DATA.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "honesty.jsonl"
INFERENCES = ("evidence", "paper")
Array = np.ndarray
#: What a run is kept under, and what it does with the option ``epochs``, by default the fit's own.
Run = tuple[dict, Callable[[int | None], dict]]


# -- scores ------------------------------------------------------------------------------------------------------------


def naming(gamma: Array, label: Array) -> dict[str, float]:
    """Score of naming populations: accuracy in %, mean largest responsibility, and ECE over ten bins of equal mass."""
    cluster = gamma.argmax(1)
    match = pima.metrics.match_clusters(label, cluster)
    right = np.array(
        [c in match and match[c] == name for c, name in zip(cluster.tolist(), label.tolist(), strict=True)]
    )
    sure = gamma.max(1)
    bins = np.array_split(np.argsort(sure, kind="stable"), 10)
    ece = sum(len(b) * abs(sure[b].mean() - right[b].mean()) for b in bins) / len(sure)
    return {"accuracy": 100 * float(right.mean()), "confidence": float(sure.mean()), "ece": float(ece)}


def rmse(a: Array, b: Array) -> float:
    """Root mean squared difference."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def populations(fit: pima.Fit, test: xr.Dataset, picture: str, curve: str) -> dict:
    """Naming of the labels from both, from the picture, from the curve."""
    parts = {"both": [picture, curve], "picture": [picture], "curve": [curve]}
    return {
        name: naming(fit.infer(test[part], predict=(), typical=False).responsibilities.values, test.label.values)
        for name, part in parts.items()
    }


def curves(fit: pima.Fit, train: xr.Dataset, test: xr.Dataset, given: list[str], curve: str) -> dict:
    """Error and coverage of curves predicted from what is given, beside the mean curve and that of the true class."""
    answer = fit.infer(test[given], predict=curve)
    low, high, truth = answer[f"{curve}_low"].values, answer[f"{curve}_high"].values, test[curve].values
    start = int(np.ptp(truth[:, 0]) == 0)  # zero by construction: it would count as covered for nothing
    out = {
        "rmse": rmse(answer[curve].values, truth),
        "rmse_mean_curve": rmse(train[curve].values.mean(0), truth),
        "coverage": 100 * pima.metrics.coverage(truth[:, start:], low[:, start:], high[:, start:]),
        "band_width": float((high - low).mean()),
    }
    if "label" in test.coords:
        named = {k: train[curve].values[train.label.values == k].mean(0) for k in np.unique(train.label)}
        out["rmse_true_class"] = rmse(np.stack([named[k] for k in test.label.values]), truth)
    return out


def believed(fit: pima.Fit, given: list[str]) -> dict[str, float]:
    """Temperatures of everything that speaks in place of the curves; nothing where inference is the paper's."""
    belief = fit.predictor.belief
    found = {} if belief is None else {frozenset(names): part for names, part in belief.parts.items()}
    part = found.get(frozenset(given))
    return {} if part is None else {name: float(tau) for name, tau in part.temperatures.taus.items()}


def fitted(
    model: pima.PIMA, train: xr.Dataset, seed: int, epochs: int | None, **options: str
) -> tuple[pima.Fit, dict[str, float]]:
    """Fit, the seconds it took, and the share of training specimens that belong to no population, where it is told."""
    began = time.perf_counter(), time.process_time()
    more = {} if epochs is None or model.options.by_evidence else {"crossmodal_epochs": epochs}
    fit = model.fit(train, seed=seed, epochs=epochs, progress=False, **more, **options)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    seconds = {"seconds": took[0], "cpu_seconds": took[1]}
    if "stranger" not in fit.specimens:
        return fit, seconds
    return fit, {**seconds, "strangers": float(fit.specimens.stranger.mean())}


# -- simple methods ----------------------------------------------------------------------------------------------------


def two_steps(own: tuple[Array, Array], pictures: tuple[Array, Array], label: Array, clusters: int, seed: int) -> dict:
    """Naming by a Gaussian mixture of numbers of the curves, and a classifier of pictures that it taught.

    Args:
        own: Numbers of every curve, of the training and of the test specimens, (N, P) each.
        pictures: The pictures, (N, pixels) each.
        label: The test specimens' labels.
        clusters: Number of populations.
        seed: Of the mixture and of the classifier's folds.
    """
    began = time.process_time()
    mixture = GaussianMixture(clusters, n_init=10, reg_covar=1e-6, random_state=seed)
    scaler = StandardScaler().fit(own[0])
    taught = mixture.fit(scaler.transform(own[0])).predict(scaler.transform(own[0]))
    machine = make_pipeline(StandardScaler(), SVC(random_state=seed))
    classifier = CalibratedClassifierCV(machine, ensemble=False).fit(pictures[0], taught)
    picture = np.full((len(label), clusters), 1e-12)
    picture[:, classifier.classes_] += classifier.predict_proba(pictures[1])
    curve = mixture.predict_proba(scaler.transform(own[1]))
    both = (curve + 1e-300) * picture / mixture.weights_
    parts = {"both": both, "picture": picture, "curve": curve}
    scores = {name: naming(g / g.sum(1, keepdims=True), label) for name, g in parts.items()}
    return {**scores, "cpu_seconds": time.process_time() - began}


def regressions(
    train: xr.Dataset, test: xr.Dataset, given: list[str], curve: str, groups: str | None, expert: str | None = None
) -> dict:
    """Every method of pima.baselines, taught by the same specimens and scored on the same."""
    began = time.process_time()
    kept = [curve, *given]
    both = xr.concat([part.reset_coords()[kept + ([groups] if groups else [])] for part in (train, test)], "specimen")
    fold = np.repeat([-1, 0], [train.sizes["specimen"], test.sizes["specimen"]])
    table = pima.baselines(
        both.assign_coords(held=("specimen", fold)), curve, given, groups=groups, folds="held", expert=expert
    )
    return {**lines.of_baselines(table), "cpu_seconds": time.process_time() - began}


def flat(data: xr.Dataset, picture: str) -> Array:
    """Pictures as rows."""
    return data[picture].values.reshape(data.sizes["specimen"], -1).astype(float)


def slopes(data: xr.Dataset) -> Array:
    """Least squares slope of every line through the origin, (N, 1)."""
    t = data.t.values
    return (data.line.values @ t / (t @ t))[:, None]


# -- cases -------------------------------------------------------------------------------------------------------------

#: Noise: specimens of the training and of the test, points, distance of the populations in their standard deviations,
#: standard deviation of a point.
TRAIN, TEST, POINTS, APART, ERROR = 400, 2500, 20, 2.5, 0.05


def noisy(seed: int, informative: float) -> tuple[xr.Dataset, xr.Dataset, dict]:
    """Lines of three overlapping populations, pictures, and the posterior of who knows the truth."""
    rng = np.random.default_rng(seed)
    t, count = np.linspace(0, 1, POINTS), TRAIN + TEST
    label = rng.integers(0, 3, count)
    slope = label + 1.0 + rng.normal(0, 1 / APART, count)
    line = slope[:, None] * t + rng.normal(0, ERROR, (count, POINTS))
    shape = np.zeros((3, 16, 16))
    for c in range(3):
        shape[c, 3 + 4 * c : 6 + 4 * c, 4:12] = informative
    image = shape[label] + rng.normal(0, 1, (count, 16, 16))
    data = xr.Dataset(
        {"image": (("specimen", "y", "x"), image), "line": (("specimen", "t"), line)},
        coords={"t": t, "label": ("specimen", label)},
    )
    train, test = data.isel(specimen=slice(0, TRAIN)), data.isel(specimen=slice(TRAIN, None))
    own = slopes(test)
    curve = -0.5 * (own - np.arange(1, 4)) ** 2 / (1 / APART**2 + ERROR**2 / (t @ t))
    picture = flat(test, "image") @ shape.reshape(3, -1).T - 0.5 * np.square(shape).sum((1, 2))
    parts = {"both": curve + picture, "picture": picture, "curve": curve}
    exact = {}
    for name, log in parts.items():
        gamma = np.exp(log - log.max(1, keepdims=True))
        exact[name] = naming(gamma / gamma.sum(1, keepdims=True), test.label.values)
    return train, test, exact


def noise() -> Iterator[Run]:
    """Populations that overlap, with pictures that say nothing and with pictures that say something."""

    def run(seed: int, informative: float, method: str, epochs: int | None) -> dict:
        train, test, exact = noisy(seed, informative)
        if method == "truth":
            return exact
        if method == "two steps":
            numbers, pictures = (tuple(f(d) for d in (train, test)) for f in (slopes, lambda d: flat(d, "image")))
            return two_steps(numbers, pictures, test.label.values, 3, seed)
        law = pima.SympyExpert("a*t", "t", parameters=[pima.Parameter("a")])
        model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics(law)}, clusters=3, inference=method)
        fit, seconds = fitted(model, train, seed, epochs)
        weight = float(fit.clusters.weight.max())
        taus = believed(fit, ["image"])
        return {**populations(fit, test, "image", "line"), "largest_weight": weight, "believed": taus, **seconds}

    for seed in range(10):
        for informative in (0.0, 0.5):
            for method in ("truth", "two steps", *INFERENCES):
                key = {"informative": informative, "seed": seed, "method": method}
                yield key, lambda e, a=(seed, informative, method): run(*a, e)


def digits() -> Iterator[Run]:
    """Digits of 8 x 8 pixels with lines."""

    def run(seed: int, variance: float, method: str, epochs: int | None) -> dict:
        train, test = pima.split(pima.datasets.digits(noise_variance=variance, seed=seed), test=0.2, seed=seed)
        if method == "two steps":
            numbers, pictures = (tuple(f(d) for d in (train, test)) for f in (slopes, lambda d: flat(d, "image")))
            return two_steps(numbers, pictures, test.label.values, 10, seed)
        if method == "baselines":
            return regressions(train, test, ["image"], "line", None)
        model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=10, inference=method)
        fit, seconds = fitted(model, train, seed, epochs)
        order = pima.metrics.latent_order(fit.clusters, "line")
        predicted = curves(fit, train, test, ["image"], "line")
        taus = believed(fit, ["image"])
        return {**populations(fit, test, "image", "line"), "order": order, **predicted, "believed": taus, **seconds}

    for seed in range(10):
        for variance in (0.5, 0.01):
            for method in ("two steps", "baselines", *INFERENCES):
                key = {"variance": variance, "seed": seed, "method": method}
                yield key, lambda e, a=(seed, variance, method): run(*a, e)


def mnist() -> Iterator[Run]:
    """Handwritten digits of 28 x 28 pixels with lines; the test set is MNIST's own."""

    def run(seed: int, variance: float, method: str, epochs: int | None) -> dict:
        data = pima.datasets.mnist(noise_variance=variance, seed=seed)
        train, test = data.isel(specimen=slice(0, 60_000)), data.isel(specimen=slice(60_000, None))
        model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=10, inference=method)
        fit, seconds = fitted(model, train, seed, epochs)
        order = pima.metrics.latent_order(fit.clusters, "line")
        predicted, taus = curves(fit, train, test, ["image"], "line"), believed(fit, ["image"])
        return {**populations(fit, test, "image", "line"), "order": order, **predicted, "believed": taus, **seconds}

    for seed in range(10):
        for variance in (0.5, 0.01):
            for method in INFERENCES:
                key = {"variance": variance, "seed": seed, "method": method}
                yield key, lambda e, a=(seed, variance, method): run(*a, e)


def lattice() -> Iterator[Run]:
    """Generated lattices, splits of 80/20."""

    def run(seed: int, method: str, epochs: int | None) -> dict:
        train, test = pima.split(pima.datasets.lattice(seed=0), test=0.2, seed=seed)
        if method == "two steps":
            scores = PCA(3, random_state=seed).fit(train.stress.values)
            numbers = tuple(scores.transform(d.stress.values) for d in (train, test))
            small = [d.image.coarsen(y=4, x=4, boundary="trim").mean() for d in (train, test)]
            pictures = tuple(d.values.reshape(len(d), -1) for d in small)
            return two_steps(numbers, pictures, test.label.values, 2, seed)
        if method == "baselines":
            return regressions(train, test, ["image"], "stress", None, "linear_hardening")
        physics = pima.Physics("linear_hardening")
        model = pima.PIMA({"image": pima.Neural(), "stress": physics}, clusters=2, latent_dim=2, inference=method)
        fit, seconds = fitted(model, train, seed, epochs)
        predicted, taus = curves(fit, train, test, ["image"], "stress"), believed(fit, ["image"])
        return {**populations(fit, test, "image", "stress"), **predicted, "believed": taus, **seconds}

    for seed in range(10):
        for method in ("two steps", "baselines", *INFERENCES):
            yield {"seed": seed, "method": method}, lambda e, a=(seed, method): run(*a, e)


def spinodoid() -> Iterator[Run]:
    """Measured compression curves without a law, pictures drawn from the design: five folds by morphology."""

    def run(fold: int, method: str, epochs: int | None) -> dict:
        data = pima.datasets.spinodoid()
        image = data.image.astype(np.float32).coarsen(y=2, x=2).mean()
        data = data.drop_dims(["y", "x"]).assign(image=image)
        groups = np.random.default_rng(0).permutation(np.unique(data.morphology))
        held = np.isin(data.morphology.values, groups[fold::5])
        train, test = data.isel(specimen=~held), data.isel(specimen=held)
        if method == "baselines":
            return regressions(train, test, ["image"], "stress", "morphology")
        # One population: in the paper's inference a picture speaks of its own curve by the latent alone.
        varied = {} if method == "evidence" else {"vary": "latent"}
        model = pima.PIMA(
            {
                "image": pima.Neural(encoder="pooled", flips=("x",), shift=0.04),
                "stress": pima.Physics("principal_curves", components=4, **varied),
            },
            clusters=1,
            inference=method,
        )
        together = {"groups": "morphology"} if method == "evidence" else {}
        fit, seconds = fitted(model, train, fold, epochs, **together)
        taus = believed(fit, ["image"])
        return {**curves(fit, train, test, ["image"], "stress"), "believed": taus, **seconds}

    for fold in range(5):
        for method in ("baselines", *INFERENCES):
            yield {"fold": fold, "method": method}, lambda e, a=(fold, method): run(*a, e)


def perovskite() -> Iterator[Run]:
    """How the red of a film changes, from its picture and composition: the folds of the data set, by composition."""
    path = Path(os.environ["PIMA_DATA"]) / "perovskite" / "perovskite.nc"

    def law(name: str, varied: Mapping[str, str]) -> pima.Physics:
        if name != "logistic":
            return pima.Physics(name, **varied)
        names = [pima.Parameter("a"), pima.Parameter("b"), pima.Parameter("m"), pima.Parameter("w", lower=0)]
        logistic = pima.SympyExpert("a + b / (1 + exp(-(time - m) / w))", "time", parameters=names)
        return pima.Physics(logistic, **varied)

    def run(fold: int, expert: str, clusters: int, method: str, epochs: int | None) -> dict:
        data = xr.load_dataset(path)
        recipe = [f"{a:.2f}_{b:.2f}_{c:.2f}" for a, b, c in data.composition.values]
        data = data.assign_coords(time=data.time.values / 1000.0, recipe=("specimen", recipe))
        held, given = data.fold.values == fold, ["picture", "composition"]
        data = data[["picture", "composition", "red"]]
        train, test = data.isel(specimen=~held), data.isel(specimen=held)
        if method == "baselines":
            return regressions(train, test, given, "red", "recipe")
        varied = {"vary": "latent"} if method == "paper" and clusters == 1 else {}
        model = pima.PIMA(
            {"picture": pima.Neural(), "composition": pima.Neural(), "red": law(expert, varied)},
            clusters=clusters,
            inference=method,
        )
        together = {"groups": "recipe"} if method == "evidence" else {}
        fit, seconds = fitted(model, train, fold, epochs, **together)
        return {**curves(fit, train, test, given, "red"), "believed": believed(fit, given), **seconds}

    for fold in range(5):
        yield {"fold": fold, "method": "baselines"}, lambda e, a=(fold, "", 0, "baselines"): run(*a, e)
        for clusters in (1, 4):
            for expert in ("logistic", "principal_curves"):
                for method in INFERENCES:
                    key = {"law": expert, "clusters": clusters, "fold": fold, "method": method}
                    yield key, lambda e, a=(fold, expert, clusters, method): run(*a, e)


CASES = {
    "noise": noise,
    "digits": digits,
    "perovskite": perovskite,
    "lattice": lattice,
    "spinodoid": spinodoid,
    "mnist": mnist,
}


# -- the table ---------------------------------------------------------------------------------------------------------


def numbers(row: Mapping[str, object], before: str = "") -> dict[str, float]:
    """Every number of a row, by its name and those of what it is in."""
    out = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            out |= numbers(value, f"{before}{name} ")
        elif isinstance(value, int | float):
            out[before + name] = float(value)
    return out


def table(names: list[str]) -> None:
    """Mean of every number over seeds or folds, one line for each case and method."""
    for name in names:
        together: dict[str, list[dict]] = {}
        for row in lines.read(RESULTS):
            if row["case"] == name:
                kept = {k: v for k, v in row["key"].items() if k not in ("seed", "fold")}
                together.setdefault(", ".join(f"{k} {v}" for k, v in kept.items()), []).append(row)
        for kept, rows in together.items():
            found = [numbers({k: v for k, v in row.items() if k != "key"}) for row in rows]
            every = dict.fromkeys(k for one in found for k in one)
            means = ", ".join(f"{k} {np.mean([one[k] for one in found if k in one]):.3f}" for k in every)
            failed = sum("failed" in row for row in rows)
            print(f"{name}, {kept} ({len(rows)} runs, {failed} failed): {means}", flush=True)  # noqa: T201 - a program


def main() -> None:
    """Run what is not there yet, and print the means of every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all by default")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds or folds of each")
    parser.add_argument("--without", nargs="*", default=[], help="methods that are left out, such as paper")
    parser.add_argument("--epochs", type=int, help="train this long only, to see that it runs; nothing is kept")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    asked = parser.parse_args()
    wanted = asked.cases or list(CASES)
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    for name in [] if asked.table else wanted:
        for key, run in CASES[name]():
            known = any(row["case"] == name and row["key"] == key for row in lines.read(RESULTS))
            if key["method"] in asked.without or key.get("seed", key.get("fold")) >= asked.seeds:
                continue
            if known and asked.epochs is None:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pima.PimaWarning)
                try:
                    found = run(asked.epochs)
                except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
                    # A fit that ends so is a result, not a reason to measure no other.
                    found = {"failed": f"{type(error).__name__}: {error}"}
                row = {"case": name, "key": key, **found}
            print(row, flush=True)  # noqa: T201 - a program
            if asked.epochs is None:
                lines.append(RESULTS, {**row, "date": date.today().isoformat(), "machine": machine})
    table(wanted)


if __name__ == "__main__":
    main()
