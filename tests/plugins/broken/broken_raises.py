"""Its hook raises."""

import pima_toolkit as pima


@pima.hookimpl
def pima_experts():
    raise KeyError("boom")
