"""A plugin as it should be."""

import pima_toolkit as pima

PIMA_API = (1, 0)


class Quadratic(pima.SympyExpert):
    """A parabola through the origin.

    Valid for: tests.
    """

    name, formula = "quadratic", "a * t**2"
    parameters = (pima.Parameter("a", unit="{y}/{t}**2"),)


@pima.hookimpl
def pima_experts():
    return [Quadratic]
