"""The parameters of a formula: declared by its author, or made from tables by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import ExpertError, FormulaError
from ..contract.parameters import Parameter
from ..formulas.parser import Formula


def _role(read: Formula, name: str) -> str:
    return "the independent variable" if name == read.variable else "a covariate"


def matched(read: Formula, given: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Declared parameters, in their order, if they are those of the formula.

    Raises:
        ExpertError: If they are no parameters, or two have one name.
        FormulaError: If one is missing, not in the formula, or called like an input.
    """
    if not all(isinstance(p, Parameter) for p in given):
        raise ExpertError("parameters must be Parameter objects: Parameter('K', unit='MPa', lower=0)")
    names = [p.name for p in given]
    if len(set(names)) != len(names):
        raise ExpertError(f"two parameters have the same name: {', '.join(names)}")
    taken = [name for name in names if name in read.inputs]
    if taken:
        raise FormulaError(f"a parameter is called {taken[0]!r}, which is {_role(read, taken[0])}: rename one of them")
    missing, extra = [n for n in read.parameters if n not in names], [n for n in names if n not in read.parameters]
    if missing or extra:
        said = [f"{', '.join(missing)} is in the formula but not declared"] if missing else []
        said += [f"{', '.join(extra)} is declared but not in the formula"] if extra else []
        raise FormulaError(f"parameters and formula {read.text!r} do not match: {'; '.join(said)}")
    return given


def made(
    read: Formula,
    units: Mapping[str, str],
    bounds: Mapping[str, tuple[float | None, float | None]],
    descriptions: Mapping[str, str],
    logs: Sequence[str],
) -> tuple[Parameter, ...]:
    """Parameters of a formula in the order of their appearance, from tables by name.

    Raises:
        ExpertError: If bounds are no pair, or unusable.
        FormulaError: If a table names what is no parameter.
    """
    for what, table in (("units", units), ("bounds", bounds), ("descriptions", descriptions), ("logarithms", logs)):
        for name in table:
            if name in read.inputs:
                raise FormulaError(f"{what} are given for {name!r}, which is {_role(read, name)}, not a parameter")
            if name not in read.parameters:
                raise FormulaError(
                    f"{what} are given for {name!r}, which is not in the formula; its parameters are"
                    f" {', '.join(read.parameters)}"
                )
    declared = []
    for name in read.parameters:
        try:
            low, high = bounds.get(name, (None, None))
        except (TypeError, ValueError):
            raise ExpertError(f"bounds of {name!r} must be a pair (lower, upper), got {bounds[name]!r}") from None
        limits = {"lower": low, "upper": high}
        declared.append(
            Parameter(
                name,
                unit=units.get(name, "1"),
                description=descriptions.get(name, ""),
                log=name in logs,
                **{key: value for key, value in limits.items() if value is not None},
            )
        )
    return tuple(declared)
