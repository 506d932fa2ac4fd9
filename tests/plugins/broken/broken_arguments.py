"""Its hook takes what nobody gives it."""

import pima_toolkit as pima


@pima.hookimpl
def pima_experts(config):
    return [config]
