"""How many populations the curves of a dataset hold, before any training."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import OptionError
from ..prepared import Prepared
from ..starts.number import PopulationNumber, population_number
from .physics import measured_curves

#: Numbers that are tried first where the number is to be found.
NUMBERS = range(1, 8)


def check_countable(prepared: Prepared) -> None:
    """Refuse a model whose populations are not those of curves with known physics.

    Raises:
        OptionError: Saying what to do.
    """
    if not prepared.options.by_evidence:
        raise OptionError(
            'the number of populations is found in curves with known physics, by inference="evidence": give'
            ' clusters a number, or compare numbers by training, pima.select_clusters(model, data, by="training")'
        )


def count_populations(
    prepared: Prepared, numbers: Sequence[int] = NUMBERS, seed: int = 0, *, more: bool = False
) -> PopulationNumber:
    """Compare numbers of populations by what the curves say; see :func:`~..starts.number.population_number`.

    Args:
        prepared: The data, and the model whose physics counts.
        numbers: To compare.
        seed: Of the search.
        more: Go on while the largest number is the best.

    Raises:
        OptionError: If there is no curve with known physics.
    """
    check_countable(prepared)
    curves = {
        name: measured_curves(option, prepared.specs[name], prepared.tensors.curves[name])
        for name, option in prepared.options.physics.items()
    }
    return population_number(curves, numbers, seed, more=more)
