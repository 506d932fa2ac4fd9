"""Loads like a sound one; only the conformance checks see that it adds up two different forms."""

import pima_toolkit as pima


class TwoMinds(pima.SympyExpert):
    """A line whose torch form is another one.

    Valid for: nothing.
    """

    name, formula = "two_minds", "a * t"
    parameters = (pima.Parameter("a", unit="{y}/{t}"),)

    def predict(self, t, theta):
        return super().predict(t, theta) + 0.1


@pima.hookimpl
def pima_experts():
    return [TwoMinds]
