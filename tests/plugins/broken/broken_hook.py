"""One letter short of a hook."""

import pima_toolkit as pima


@pima.hookimpl
def pima_expert():
    return []
