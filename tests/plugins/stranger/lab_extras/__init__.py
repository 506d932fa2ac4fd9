"""A stranger's package: one of everything that can be added, by public names only."""

import pima_toolkit as pima

from .law import Softening
from .section import wear

PIMA_API = (1, 1)


@pima.hookimpl
def pima_experts():
    return [Softening]


@pima.hookimpl
def pima_report_sections():
    return {"wear": wear}
