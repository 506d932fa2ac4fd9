"""Cautions about a fit, in plain words: one list of what speaks against it, for summary, report and page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ...data import count, few, population_names
from ...fitting.em.health import duplicate_clusters, empty_clusters
from ...fitting.em.steps import MINIMUM_WEIGHT
from ...model.physics import PhysicsDecoder
from ...units import two_digits
from ..conditions import population_grid
from ..predictor import Predictor
from ..record import Restarts, TrainingRecord, named
from ..tables import cluster_parameters
from .goodness_of_fit import FEWEST, MISFIT_RATIO

#: A specimen belongs to a population where the probability is at least this.
SURE = 0.9
#: A specimen belongs to no population where the probability of that is above this.
STRANGER = 0.5
#: Restarts find the same populations where their adjusted Rand index is at least this.
AGREE = 0.8
#: The ELBO still rises where its last fifth gained more than this share of all it gained, and three standard errors.
STILL_RISING = 0.02
#: Nats per specimen that change no answer.
NOTHING = 1e-3
#: The model's own 90 % band should hold about that of the training points.
BAND, BAND_OFF = 0.9, 0.1
#: More of the training specimens unlike every population than this is a sign that there is another.
STRANGE = 0.02
#: A law that misses its curves by more than this share of their range is wrong in what a person reads off them; less is
#: told, since every law is somewhat wrong and enough specimens show it, but it is no reason to distrust the fit.
LARGE_MISFIT = 0.05
#: Share of curves beyond the quadratic that stands for them, from which it is told.
MANY_BEYOND = 0.1
#: Letters of a law's name in a sentence.
_LAW = 40
#: Said where a diagnosis draws the curves that a caution is about.
DRAWN = "fit.diagnose(data) draws the curves behind this, and tells what helps."
#: The populations' curves may miss the training curves by this times what the mean curve does: medians are not means.
WORSE = 1.05


class Caution(NamedTuple):
    """One thing to know.

    Args:
        words: A sentence.
        serious: Whether the fit should not be trusted until it is dealt with.
        drawn: Whether a diagnosis draws the curves behind it.
    """

    words: str
    serious: bool = False
    drawn: bool = False


def cautions(predictor: Predictor, record: TrainingRecord) -> list[Caution]:
    """List everything that a careful person would want to know of a fit, the serious first."""
    experts = named(cluster_parameters(predictor, record), record)
    gamma, names = record.specimens["responsibilities"].values, population_names(experts)
    every = [Caution(_sentence(words), serious=True) for words in cluster_cautions(gamma)]
    every += [Caution(_sentence(w)) for w in bound_cautions(predictor.state.decoders, gamma.sum(0), names)]
    every += [
        *_number(record),
        *_training(record),
        *_restarts(record),
        *_specimens(record, experts),
        *_laws(predictor, experts),
    ]
    every += [*_useless(predictor, record), *_unheard(predictor), *_beyond(record), *_noises(record, names)]
    every += _bands(predictor)
    return sorted(every, key=lambda caution: not caution.serious)


def sentences(every: list[Caution]) -> list[str]:
    """Write the list as a report shows it, never empty."""
    out = [caution.words for caution in every] or ["No warnings."]
    out += [DRAWN] * any(caution.drawn for caution in every)
    return out


def summary(predictor: Predictor, record: TrainingRecord) -> str:
    """Say in plain words whether to trust a fit, see :meth:`pima_toolkit.Fit.summary`."""
    every = cautions(predictor, record)
    serious = [c.words for c in every if c.serious]
    mild = [c.words for c in every if not c.serious]
    if serious:
        lines = ["Do not trust this fit as it is:", *(f"- {words}" for words in serious)]
        lines += ["Also to know:", *(f"- {words}" for words in mild)] if mild else []
    elif mild:
        lines = ["This fit can be used, knowing that:", *(f"- {words}" for words in mild)]
    else:
        lines = ["Nothing was found that speaks against this fit."]
    lines = [*checked(predictor, record), *lines, *[DRAWN] * any(c.drawn for c in every)]
    gamma = record.specimens["responsibilities"].values
    shares = ", ".join(f"{100 * share:.0f} %" for share in gamma.mean(0))
    sure = int((gamma.max(1) >= SURE).sum())
    lines.append(
        f"{len(gamma)} specimens in {count(predictor.options.clusters, 'population')} ({shares}); {sure} of them"
        f" belong to one with at least {100 * SURE:.0f} % probability."
    )
    lines += how_many(record)
    lines.append(how_stable(record))
    return "\n".join(lines)


def checked(predictor: Predictor, record: TrainingRecord) -> list[str]:
    """Say what was checked: specimens held out first, then the training curves; a sentence for each modality."""
    out = []
    groups = record.settings.groups
    together = "" if groups is None else f", those of one {groups} together"
    for name, figures in record.facts.get("held_out", {}).items():
        beside = _beside(predictor, name, figures["mean_curve"])
        out.append(
            f"Checked on {figures['specimens']} specimens held out{together}: {name} predicted from their other"
            f" modalities misses by {_with_unit(predictor, name, figures['rmse'])}{beside}, the populations' average by"
            f" {_with_unit(predictor, name, figures['without'])}."
        )
    out += [
        f"Simple methods on the same specimens, {name}: {figures['reading']}"
        for name, figures in record.facts.get("beside", {}).items()
    ]
    for name, figures in record.facts.get("described", {}).items():
        beside = _beside(predictor, name, figures["mean_curve"])
        out.append(
            f"Training curves of {name}: each specimen's own law misses by"
            f" {_with_unit(predictor, name, figures['own'])}, its population's curve by"
            f" {_with_unit(predictor, name, figures['population'])}{beside}."
        )
    return out


def _beside(predictor: Predictor, name: str, mean_curve: float) -> str:
    """What the mean curve misses by, to stand in a sentence; nothing where it is not known."""
    missed = _with_unit(predictor, name, mean_curve)
    return "" if np.isnan(mean_curve) else f", the mean of the other curves by {missed}"


def _with_unit(predictor: Predictor, name: str, value: float) -> str:
    unit = predictor.specs[name].schema.unit
    return f"{value:.3g}" + ("" if unit == "1" else f" {unit}")


def _useless(predictor: Predictor, record: TrainingRecord) -> Iterator[Caution]:
    """Tell of laws and predictions that are no better than the mean curve."""
    for name, figures in record.facts.get("described", {}).items():
        law = _law(predictor, name)
        if figures["own"] >= figures["mean_curve"]:
            yield Caution(
                f"{name}: the law {law}, fitted to each specimen by itself, misses its curve by more than the mean of"
                " the other curves does: it does not describe them, try another.",
                serious=True,
            )
        elif figures["population"] > WORSE * figures["mean_curve"]:
            yield Caution(
                f"{name}: the populations' curves miss the training curves by more than the mean of the other curves"
                " does: ask for more populations (clusters=), or another law.",
                serious=True,
            )
    for name, figures in record.facts.get("held_out", {}).items():
        if figures["rmse"] >= figures["mean_curve"]:
            yield Caution(
                f"{name}: predicted from the other modalities it is no nearer to specimens held out than the mean curve"
                " is: do not use such a prediction.",
            )


def _law(predictor: Predictor, name: str) -> str:
    """What a sentence calls the law of a modality: of one that was never named, the beginning of its formula."""
    law = predictor.options.physics[name].expert.name
    return law if len(law) <= _LAW else f"{law[:_LAW]}…"


def _beyond(record: TrainingRecord) -> Iterator[Caution]:
    """Tell of curves that a quadratic does not describe."""
    for name, share in record.facts.get("beyond_quadratic", {}).items():
        if share > MANY_BEYOND:
            yield Caution(
                f"{name}: {100 * share:.0f} % of the curves say of their parameters what no Gaussian tells (a bound, a"
                " kink, several optima): errors and responsibilities of those are approximate."
            )


def _unheard(predictor: Predictor) -> Iterator[Caution]:
    """Tell which modalities are not believed, and where nothing was checked."""
    belief = predictor.belief
    if belief is None:
        return
    if belief.voices and not belief.out_of_fold:
        yield Caution(
            "Nothing was held out (crossfit=False): what the other modalities say of the curves is believed unchecked.",
            serious=True,
        )
        return
    for names, believed in belief.parts.items():
        found = believed.temperatures
        if len(names) == 1 and belief.voices and not any(found.taus.values()):
            why = "says nothing about the curves that specimens held out confirm"
            if not found.claims:
                why = f"is not heard of the curves ({found.too_few})"
            yield Caution(f"{names[0]} {why}: a prediction from it is the populations' average.")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


# -- clusters and specimens ----------------------------------------------------------------------------------------


def cluster_cautions(gamma: NDArray[np.float64]) -> list[str]:
    """Tell of populations that are empty or the same as another, from responsibilities (specimen, cluster)."""
    tensor = torch.as_tensor(gamma)
    empty, double = empty_clusters(tensor), duplicate_clusters(tensor)
    if empty:
        held = ", ".join(f"{c} ({gamma[:, c].sum():.2g} specimens)" for c in empty)
        return [f"populations are empty at the end of training: {held}; ask for fewer (clusters=)"]
    hold = "holds" if len(double) == 1 else "hold"
    said = f"population{'s' * (len(double) > 1)} {few(double)} {hold} the same specimens as another"
    return [f"{said}: ask for fewer (clusters=)"] if double else []


def bound_cautions(
    decoders: dict[str, PhysicsDecoder], weight: NDArray[np.float64], names: Sequence[str] = ()
) -> list[str]:
    """Tell of parameters that sit at a bound, in populations of this weight in specimens, (cluster,)."""
    out = []
    for name, decoder in decoders.items():
        bound = decoder.bounds.at_bound(decoder.theta) & (weight > MINIMUM_WEIGHT)[:, None]
        for c, p in np.argwhere(bound):
            parameter, where = decoder.expert.parameters[p].name, names[c] if names else f"population {c}"
            out.append(f"{name}, {where}: the parameter {parameter} sits at a bound, so its error is unknown")
    return out


def _specimens(record: TrainingRecord, experts: xr.Dataset) -> Iterator[Caution]:
    unsure = int((record.specimens["responsibilities"].max("cluster").values < SURE).sum())
    if unsure:
        many = 4 * unsure > record.specimens.sizes["specimen"]
        yield Caution(f"{unsure} training specimens belong to no population with 90 % probability.", serious=many)
    small = np.flatnonzero(experts["effective_specimens"].values < FEWEST)
    if len(small):
        names = population_names(experts)
        held = ", ".join(names[c] for c in small)
        yield Caution(f"Fewer than five specimens are in {held}: do not trust the errors there.", True)
    strange = int(record.facts.get("out_of_population", 0))
    if strange > max(2, STRANGE * record.specimens.sizes["specimen"]):
        yield Caution(
            f"{strange} training specimens are unlike every population: look at them, they may be another population"
            " (one more in clusters=), or bad records.",
            serious=True,
        )


# -- training ------------------------------------------------------------------------------------------------------


def still_rising(elbo: NDArray[np.float64]) -> float:
    """Nats per specimen that the last fifth of the epochs gained over the fifth before; 0 where that is noise.

    Args:
        elbo: The ELBO of every epoch, nats per specimen.
    """
    width = max(1, len(elbo) // 5)
    if len(elbo) < 2 * width or not np.isfinite(elbo).all():
        return 0.0
    last = elbo[-2 * width :]
    gain = float(last[width:].mean() - last[:width].mean())
    epochs = np.arange(2 * width)
    noise = 0.0
    if width > 1:
        residual = last - np.polyval(np.polyfit(epochs, last, 1), epochs)
        noise = float(np.sqrt(np.square(residual).sum() / (2 * width - 2) * 2.0 / width))
    return gain if gain > max(3.0 * noise, STILL_RISING * float(elbo.max() - elbo.min()), NOTHING) else 0.0


def _training(record: TrainingRecord) -> Iterator[Caution]:
    if record.facts["interrupted"]:
        yield Caution("Training was stopped by hand before its end.", serious=True)
    elif record.facts.get("held_out"):
        return  # what the networks are worth was seen on specimens held out
    elif gain := still_rising(record.history["elbo"].values):
        yield Caution(
            f"The ELBO was still rising when training ended, by {two_digits(gain)} nats per specimen in the last fifth"
            f" of the epochs: train longer, epochs={2 * record.history.sizes['epoch']}.",
            serious=True,
        )


def _number(record: TrainingRecord) -> Iterator[Caution]:
    found = record.facts.get("number")
    if not found or len(found["possible"]) < 2:
        return
    used = found["tried"][int(np.argmin(found["icl"]))]
    others = " or ".join(str(number) for number in found["possible"] if number != used)
    yield Caution(
        f"The curves do not decide how many populations there are: {others} would do as well as {used}"
        " (pima.select_clusters shows the table)."
    )


def how_many(record: TrainingRecord) -> list[str]:
    """Say in a sentence what spoke for the number of populations, where it was found."""
    found = record.facts.get("number")
    if not found:
        return []
    icl = dict(zip(found["tried"], found["icl"], strict=True))
    best = min(icl, key=lambda number: icl[number])
    rest = {number: value for number, value in icl.items() if number != best}
    if not rest:
        return []
    second = min(rest, key=lambda number: rest[number])
    apart = f"{rest[second] - icl[best]:.3g}"
    return [f"The number {best} was found in the curves: the next best, {second}, has an ICL higher by {apart}."]


def how_stable(record: TrainingRecord) -> str:
    """Say in a sentence how far restarts agree."""
    about = record.facts.get("restarts")
    if not about or len(about["elbo"]) < 2:
        return "One run only: restarts=3 would tell whether another finds the same populations."
    best = int(record.facts["restart"])
    others = np.delete(np.array(about["agreement"][best]), best)
    return (
        f"{len(about['elbo'])} restarts: the others agree with the best by an adjusted Rand index of"
        f" {others.min():.2f} to {others.max():.2f} (1: the same populations, 0: no more than by chance)."
    )


def stability(record: TrainingRecord) -> xr.Dataset:
    """Table of how far restarts agree, see :attr:`pima_toolkit.Fit.stability`."""
    about = record.facts.get("restarts") or Restarts(elbo=[float("nan")], agreement=[[1.0]])
    gamma = record.specimens["responsibilities"]
    probability = gamma.max("cluster").values
    unknown = np.full(len(probability), np.nan)
    agree = record.specimens["restarts_agree"].values if "restarts_agree" in record.specimens else unknown
    share = {"units": "1"}
    return xr.Dataset(
        {
            "elbo": ("restart", np.array(about["elbo"], dtype=float), {"units": "nat per specimen"}),
            "agreement": (("restart", "other"), np.array(about["agreement"], dtype=float), share),
            "occupancy": ("cluster", gamma.values.mean(0), share),
            "probability": ("specimen", probability, share),
            "restarts_agree": ("specimen", agree, share),
            "uncertain": ("specimen", (probability < SURE) | (agree <= 0.5)),
        },
        coords={k: v for k, v in record.specimens.coords.items() if k == "specimen"},
        attrs={"best": int(record.facts["restart"])},
    )


def strangers(record: TrainingRecord) -> xr.Dataset:
    """Table of the specimens that belong to no population, see :attr:`pima_toolkit.Fit.strangers`."""
    specimens = record.specimens
    if "stranger" not in specimens:
        about = {"long_name": "probability of belonging to no population", "units": "1"}
        specimens = specimens.assign(stranger=("specimen", np.zeros(specimens.sizes["specimen"]), about))
    rows = np.flatnonzero(specimens["stranger"].values > STRANGER)
    return specimens[["stranger", "responsibilities", "cluster"]].isel(specimen=rows)


def _restarts(record: TrainingRecord) -> Iterator[Caution]:
    about = record.facts.get("restarts")
    if not about or len(about["elbo"]) < 2:
        return
    best = int(record.facts["restart"])
    others = [value for r, value in enumerate(about["agreement"][best]) if r != best]
    if min(others) < AGREE:
        poor = sum(value < AGREE for value in others)
        yield Caution(
            f"The restarts disagree: {poor} of {len(others)} others put the specimens into other populations than the"
            f" best one (adjusted Rand index {min(others):.2f} to {max(others):.2f}, 1 is the same): their number"
            " does not fit, there are no distinct populations, or training is too short.",
            serious=True,
        )


# -- physics -------------------------------------------------------------------------------------------------------


def _laws(predictor: Predictor, experts: xr.Dataset) -> Iterator[Caution]:
    """Tell of laws that miss their populations by more than chance, and of those whose optimum is not sure."""
    enough, names = experts["effective_specimens"].values >= FEWEST, population_names(experts)
    for name in map(str, experts["curve"].values):
        row = experts.sel(curve=name)
        unit = predictor.specs[name].schema.unit
        unit = "" if unit == "1" else f" {unit}"
        law = _law(predictor, name)
        for c in np.flatnonzero(enough & (row.misfit_ratio.values > MISFIT_RATIO)):
            share = float(row.misfit[c]) / _range(predictor, name, int(c))
            yield Caution(
                f"{name}, {names[c]}: the law {law} misses the curves by {two_digits(float(row.misfit[c]))}{unit} on"
                f" average, {two_digits(100 * share)} % of their range and"
                f" {two_digits(float(row.misfit_ratio[c]))} times what chance explains: its standard errors"
                " say how well the best curve of this law is found, not how near the truth it is;"
                f" {'try another law' if share > LARGE_MISFIT else 'where that is too much, try another law'}.",
                serious=share > LARGE_MISFIT,
                drawn=True,
            )
        for c in np.flatnonzero(row.agreement.values < 0.5):
            yield Caution(
                f"{name}, {names[c]}: only {100 * float(row.agreement[c]):.0f} % of starts find the best optimum, so"
                " there may be a better one, or a parameter is not determined."
            )
        unknown = row.unidentified.values & (row.parameter_modality.values == name)
        for c in np.flatnonzero(unknown.any(1)):
            open_ones = few(experts["parameter"].values[unknown[c]])
            yield Caution(
                f"{name}, {names[c]}: the curves do not determine {open_ones}: hold a parameter, or measure more."
            )


def _noises(record: TrainingRecord, names: list[str]) -> Iterator[Caution]:
    """Tell of noise models that the residuals speak against, each kind of evidence once for a modality."""
    for name, quality in record.quality.items():
        by_cluster = quality.get("noise", [])  # a fit of an older file knows none
        told = [c for c, sentences in enumerate(by_cluster) if sentences]
        if told:
            where = "all populations" if len(told) == len(names) > 1 else ", ".join(names[c] for c in told)
            yield Caution(f"{name}, {where}: {'; '.join(by_cluster[told[0]])}.", drawn=True)


def _range(predictor: Predictor, name: str, cluster: int) -> float:
    """Range of a cluster's curve, from its lowest to its highest point, in its unit; tiny where the curve is flat."""
    decoder = predictor.state.decoders[name]
    curve, _ = decoder.expert.value_and_jacobian(population_grid(predictor, name, cluster), decoder.theta[cluster])
    return max(float(np.ptp(curve)), 1e-300)


def _bands(predictor: Predictor) -> Iterator[Caution]:
    for name, shares in predictor.calibration.items():
        held = float(np.interp(BAND, shares, np.linspace(0.0, 1.0, len(shares))))
        if abs(held - BAND) > BAND_OFF:
            yield Caution(
                f"Bands of {name}: the model's own 90 % band held {100 * held:.0f} % of the points, so the spread it"
                " assumes is not the measured one; the bands shown are set right on the training data, and may not hold"
                " what they say elsewhere."
            )
