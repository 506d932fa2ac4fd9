"""Written for a later interface."""

import pima_toolkit as pima

PIMA_API = (2, 0)


@pima.hookimpl
def pima_experts():
    return []
