"""Lines that bend."""

import pima_toolkit as pima


class Softening(pima.SympyExpert):
    """A line that bends downwards.

    Valid for: tests.
    """

    name, t, formula = "softening", "strain", "E * strain - c * strain**2"
    parameters = (
        pima.Parameter("E", unit="{y}/{t}", lower=0, description="modulus at the start"),
        pima.Parameter("c", unit="{y}/{t}**2", lower=0, description="softening"),
    )
    example = pima.Example(t=(0, 1), parameters={"E": 3, "c": 0.5})
