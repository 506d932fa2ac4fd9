"""The section to paste into a paper: what was done, with the figures that tell how well it went, and whom to cite."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...data import count
from ..findings import Findings, ModalityFindings, PredictedCurves
from ..page import Section

_PAPER = (
    "N. Trask, C. Martinez, K. Lee, B. Boyce (2022). Unsupervised physics-informed disentanglement of multimodal data"
    " for high-throughput scientific discovery. arXiv:2202.03242."
)


def methods(findings: Findings) -> Section:
    """Say in a paragraph what was done and how far it was checked, then the references."""
    sources = dict.fromkeys(one.source for one in findings.modalities.values() if one.source)
    references = [_PAPER, _software(findings), *sources]
    number = {source: k for k, source in enumerate(references, start=1)}
    words = " ".join([_data(findings), *_laws(findings, number), _inference(findings), *_checked(findings)])
    cited = "\n".join(f"[{k}] {source}" for source, k in number.items())
    about = "A paragraph for a paper, to be shortened; what stands in it is from this fit."
    return Section("Methods, to paste", [about], program=f"{words}\n\n{cited}")


def _software(findings: Findings) -> str:
    return "Software: " + ", ".join(f"{name} {number}" for name, number in findings.how.versions.items()) + "."


def _data(findings: Findings) -> str:
    measured = " and ".join(f"{name} ({one.present})" for name, one in findings.modalities.items())
    kind = "generated" if findings.synthetic else "measured"
    specimens, populations = findings.specimens.sizes["specimen"], findings.populations.sizes["cluster"]
    found = "found in the curves by the integrated completed likelihood" if findings.how.number_found else "given"
    return (
        f"{count(specimens, 'specimen')}, {kind}, with {measured}, were analysed with pima_toolkit [2]. The number of"
        f" populations, {populations}, was {found}; no labels were used."
    )


def _laws(findings: Findings, number: dict[str, int]) -> Iterator[str]:
    for name, one in findings.modalities.items():
        if one.expert is not None:
            law = f"{one.expert}, {one.law}" if one.law else one.expert
            cited = f" [{number[one.source]}]" if one.source else ""
            yield f"The law of {name} is {law}{cited}."


def _inference(findings: Findings) -> str:
    if findings.how.inference == "paper":
        return (
            "Populations and parameters were estimated by the physics-informed multimodal autoencoder of Trask et al."
            " [1], with the options that this report lists."
        )
    parameters = findings.parameters.attrs
    errors = f" Errors and {parameters['level']:.0%} intervals: {parameters['method']}." if parameters else ""
    return (
        "Specimens of a population differ in their parameters; weights, means and covariances of the populations were"
        " estimated together by expectation maximisation from each curve's likelihood of its own parameters, in the"
        f" frame of Trask et al. [1].{errors}"
    )


def _checked(findings: Findings) -> Iterator[str]:
    how = findings.how
    if not how.folds:
        return
    others = " and ".join(name for name, one in findings.modalities.items() if one.expert is None)
    together = f", with specimens of one {how.groups} held out together" if how.groups else ""
    yield (
        f"What {others} tells of the curves was weighed by how much more probable it made curves of specimens held out,"
        f" in {how.folds} folds{together}."
    )
    for name, one in findings.modalities.items():
        if one.predicted is not None:
            yield _predicted(name, one, one.predicted)


def _predicted(name: str, one: ModalityFindings, figures: PredictedCurves) -> str:
    mean = f" (the mean of the other curves by {one.in_unit(figures.mean_curve)})"
    mean = "" if math.isnan(figures.mean_curve) else mean
    simple = f" Beside simple methods: {one.beside.reading}" if one.beside else ""
    return (
        f"Predicted from the others, {name} of {count(figures.specimens, 'specimen')} held out was missed by"
        f" {one.in_unit(figures.rmse)}, root mean square{mean}; the 90 % band held {100 * figures.coverage:.1f} % of"
        f" the points.{simple}"
    )
