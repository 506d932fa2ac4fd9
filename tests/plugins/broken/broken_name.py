"""Its second expert has the name of a built-in one: its first must not stay either."""

import pima_toolkit as pima


@pima.hookimpl
def pima_experts():
    return [pima.SympyExpert("a * t", name="half"), pima.SympyExpert("a * t", name="proportional")]
