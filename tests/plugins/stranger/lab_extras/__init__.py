"""A stranger's package: one of everything that can be added, by public names only."""

import pima_toolkit as pima

from .encoder import OneLayer
from .law import Softening
from .noise import Growing
from .reader import Abrasion
from .section import wear
from .speaker import Nearest

PIMA_API = (1, 1)


@pima.hookimpl
def pima_experts():
    return [Softening]


@pima.hookimpl
def pima_noise_models():
    return {"growing": Growing()}


@pima.hookimpl
def pima_encoders():
    return {"one_layer": OneLayer()}


@pima.hookimpl
def pima_speakers():
    return {"nearest": Nearest()}


@pima.hookimpl
def pima_readers():
    return {"abrasion": Abrasion}


@pima.hookimpl
def pima_report_sections():
    return {"wear": wear}
