"""What parameters of a physics modality depend on, as learned from a training set: references of terms, and batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data import Measurement
from ...errors import PimaError
from ...experts import Dependence, SpecimenDesign, number_groups
from ...model.modality import Physics


@dataclass(frozen=True)
class KnownTerms:
    """How what is known of specimens is read.

    Args:
        dependence: Which parameters depend on which terms.
        reference: Mean of each term over the training specimens with a curve, where parameters are said.
        batches: Labels of the training specimens' batches, in order; empty where there are none.
    """

    dependence: Dependence
    reference: tuple[float, ...]
    batches: tuple[str, ...]

    @staticmethod
    def learn(
        option: Physics, measurement: Measurement, labels: NDArray[np.generic] | None = None
    ) -> KnownTerms | None:
        """Learn from a training set; None where parameters depend on nothing.

        Args:
            option: The modality's option.
            measurement: The training specimens.
            labels: Their names, for errors; numbers by default.

        Raises:
            PimaError: If a term has no value, does not vary, or batches cannot be told from specimens; it names the
                modality.
        """
        if option.depends_on is None and option.groups is None:
            return None
        dependence, there = Dependence.read(option.expert, option.depends_on), measurement.present
        labels = np.arange(len(there)) if labels is None else labels
        try:
            values = _values(dependence, measurement)
            reference = values[there].mean(0)
            terms = np.where(np.isfinite(values), values - reference, 0.0)
            names = np.zeros(0, dtype=str)
            if measurement.batch is not None and option.groups is not None:
                _, names = number_groups(option.groups, measurement.batch, there, labels)
            units = ("1",) * len(dependence)
            design = SpecimenDesign(dependence, terms, reference, units, None, names, option.groups or "")
            design.check(np.flatnonzero(there), 0, 1)
        except PimaError as error:
            raise type(error)(f"{measurement.schema.name!r}: {error}") from None
        return KnownTerms(dependence, tuple(reference.tolist()), tuple(names.tolist()))

    def of(self, measurement: Measurement) -> tuple[np.ndarray, np.ndarray | None]:
        """Terms minus their reference (specimen, k), NaN where unknown, and numbers of batches (specimen,), -1 there.

        The second is None where there are no batches.
        """
        terms = _values(self.dependence, measurement) - np.array(self.reference)
        if not self.batches:
            return terms, None
        number = {label: k for k, label in enumerate(self.batches)}
        given = np.full(len(measurement), "") if measurement.batch is None else measurement.batch
        return terms, np.array([number.get(label, -1) for label in given.tolist()], dtype=np.int64)


def _values(dependence: Dependence, measurement: Measurement) -> np.ndarray:
    """Values of the terms, (specimen, k)."""
    if not len(dependence):
        return np.zeros((len(measurement), 0))
    return dependence.values({name: measurement.covariates[name] for name in dependence.covariates})
