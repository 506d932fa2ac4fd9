"""`pima info`: what a report of a problem should name: versions, plugins, the machine; no path, no name of a user."""

from __future__ import annotations

import locale
import os
import platform
import re
import sys
from importlib import metadata

import pima_toolkit as pima

from ..errors import require
from .options import CommandOutput, Json
from .plugins import plugin_records

typer = require("typer", "the command line")

#: Variables of the environment that change what numbers cost, or come out as.
_HEARD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES", "PIMA_STRICT_PLUGINS")


def info(as_json: Json = False) -> None:
    """Say versions, plugins and machine, to paste into a report of a problem; no paths are in it."""
    output = CommandOutput(quiet=False, as_json=as_json)
    told = {"versions": versions(), "plugins": _plugins(), "machine": _machine()}
    for title, rows in told.items():
        output.say(f"{title}:")
        for name, value in rows.items():
            output.say(f"  {name} {value}")
    output.end(told)


def versions() -> dict[str, str]:
    """Versions of Python, of the toolkit, and of each library that it names and that is there."""
    named = [re.split(r"[\s;<>=!~\[(]", line, maxsplit=1)[0] for line in metadata.requires("pima-toolkit") or []]
    there = {"python": platform.python_version(), "pima-toolkit": pima.__version__}
    for name in dict.fromkeys(named):
        try:
            there.setdefault(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    return there


def _plugins() -> dict[str, str]:
    """State and version by name; why one is broken may name files, and `pima plugins list` says it."""
    return {
        str(r.origin): r.state + ("" if r.state != "broken" else " (pima plugins list says why)")
        for r in plugin_records().values()
    }


def _machine() -> dict[str, str]:
    torch = require("torch", "the networks")
    free, whole = require("pima_toolkit.fitting.memory", "the training").memory(torch.device("cpu"))
    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    heard = [f"{name}={os.environ[name]}" for name in _HEARD if name in os.environ]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}",
        "memory": f"{whole / 1e9:.0f} GB, {free / 1e9:.0f} GB free",
        "GPU": ", ".join(devices) or "none that torch can use",
        "encoding": f"{locale.getpreferredencoding(False)}, terminal {sys.stdout.encoding}",
        "environment": ", ".join(heard) or "nothing set that is listened to",
    }
