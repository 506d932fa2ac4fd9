"""Choose what was measured and how to describe it, fit, and watch: `FitPanel(data)`."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
import traitlets

import pima_toolkit as pima

from .background_task import BackgroundTask, watch
from .canvas import Chart
from .panel import CopyButton, Panel, heading, notes_html, row
from .saving import SAVES, SaveRow, write_fit
from .told_warnings import told_warnings

if TYPE_CHECKING:
    import xarray as xr

_OUT, _NEURAL, _PHYSICS = "leave out", "neural", "physics"
_POOLED = "pooled"
#: Choices of the groups that are no coordinate, as ``PIMA.fit`` knows them.
_GROUPS = {"found by name": "auto", "none": None}


#: Boxes of the panel that are settings of the training by their own names.
_SETTINGS = ("seed", "epochs", "restarts", "groups", "device")


class ModalityRow:
    """Row of one variable, with its choices: neural, physics with an expert, or leave out.

    Args:
        data: The dataset.
        name: Name of the variable.
    """

    def __init__(self, data: xr.Dataset, name: str) -> None:
        variable = data[name]
        self.name = name
        dims = [dim for dim in variable.dims if dim != "specimen"]
        self.independent = independent = str(variable.attrs.get("independent", dims[0] if dims else ""))
        coordinate = data[independent] if len(dims) == 1 and independent in data.coords else None
        self.curve = coordinate is not None and coordinate.dtype.kind in "if"
        experts = pima.experts.experts()
        fitting = sorted(experts, key=lambda one: (experts[one].t != independent, one))
        default = "linear_hardening" if independent == "strain" else "affine"
        kinds = (_NEURAL, _PHYSICS, _OUT) if self.curve else (_NEURAL, _OUT)
        self.kind = ipw.Dropdown(options=kinds, value=_PHYSICS if self.curve else _NEURAL)
        self.kind.layout.width = "110px"
        self.expert = ipw.Dropdown(options=fitting, value=default)
        self.expert.layout.width = "190px"
        noises = (name for name, shape in pima.experts.NOISES.items() if shape.numbers())
        self.noise = ipw.Dropdown(options=(_POOLED, "cluster", "unit", *noises), value=_POOLED, description="noise")
        self.noise.layout.width = "200px"
        for box, words in ((self.kind, "description"), (self.expert, "law"), (self.noise, "noise")):
            box.tooltip = f"{words} of {name}"
        self._show_physics()
        unit = str(variable.attrs.get("units", ""))
        size = " × ".join(f"{dim} {variable.sizes[dim]}" for dim in dims) or "one number"
        about = f"<b>{escape(name)}</b>{f' [{escape(unit)}]' if unit not in ('', '1') else ''}"
        self.label = ipw.HTML(f'{about}<br><span style="opacity:.7">{escape(size)}</span>')
        self.label.layout.width = "190px"
        self.kind.observe(self._show_physics, "value")
        self.widget = row(self.label, self.kind, self.expert, self.noise)

    def offer(self, expert: pima.Expert) -> None:
        """Add an expert to the choices, and choose it where its input is what this curve was measured against."""
        self.expert.options = tuple(dict.fromkeys([expert.name, *self.expert.options]))
        if self.kind.value == _PHYSICS and expert.t == self.independent:
            self.expert.value = expert.name

    def choose(self, modality: object | None) -> bool:
        """Choose as a model describes this variable.

        Args:
            modality: ``Neural`` or ``Physics``; None where the model leaves the variable out.

        Returns:
            Whether these choices say all of it: no other options, and an expert known by its name.
        """
        physics = isinstance(modality, pima.Physics)
        if physics and modality.expert.name not in self.expert.options:
            return False
        kind = _OUT if modality is None else _PHYSICS if physics else _NEURAL
        if kind not in self.kind.options:
            return False
        if physics:
            self.expert.value = modality.expert.name
            self.noise.value = modality.noise if modality.noise in self.noise.options else _POOLED
        self.kind.value = kind
        return self.modality == modality

    def _show_physics(self, _: object = None) -> None:
        for box in (self.expert, self.noise):
            box.layout.display = "flex" if self.kind.value == _PHYSICS else "none"

    @property
    def modality(self) -> object | None:
        """The chosen description of this variable, for a model; None where it is left out."""
        if self.kind.value == _OUT:
            return None
        if self.kind.value == _NEURAL:
            return pima.Neural()
        return pima.Physics(self.expert.value, noise=self.noise.value)

    @property
    def code(self) -> str:
        """The chosen description as Python."""
        if self.kind.value == _NEURAL:
            return "pima.Neural()"
        noise = "" if self.noise.value == _POOLED else f', noise="{self.noise.value}"'
        return f'pima.Physics("{self.expert.value}"{noise})'


class FitPanel(Panel):
    """Panel that fits a model to a dataset, in the background.

    Args:
        data: Variables with a ``specimen`` dim.

    Attributes:
        result: The :class:`pima_toolkit.Fit`, once there is one.
        selection: Names of the chosen modalities.
        expert: The expert of the first physics modality, or None.
        task: The training under way, or the last one.

    Raises:
        DataError: If the dataset holds nothing to fit.
    """

    title = "Fit"

    def __init__(self, data: xr.Dataset) -> None:
        super().__init__()
        self.data = data
        traitlets.dlink((self, "result"), (self, "new_fit"))
        self.task: BackgroundTask | None = None
        self._latest: pima.Fit | None = None
        self.observe(lambda change: setattr(self, "_latest", change["new"]), "result")
        self._began = 0.0
        self._watcher: threading.Thread | None = None
        names = [str(k) for k, v in data.data_vars.items() if "specimen" in v.dims and v.dtype.kind in "iuf"]
        if not names:
            raise pima.errors.DataError(
                f"the dataset holds no numeric variable along 'specimen'; it has {list(data.data_vars)}"
            )
        self.rows = [ModalityRow(data, name) for name in names]
        specimens = data.sizes["specimen"]
        self.clusters = ipw.BoundedIntText(value=2, min=1, max=specimens, description="clusters")
        self.auto = ipw.Checkbox(value=False, description="find the number", indent=False)
        self.auto.tooltip = "as many populations as the curves with known physics hold"
        self.auto.layout.width = "max-content"
        self.latent_dim = ipw.BoundedIntText(value=2, min=1, max=64, description="latent size")
        self.epochs = ipw.BoundedIntText(value=0, min=0, max=100_000, description="epochs", tooltip="0: chosen by size")
        self.seed = ipw.BoundedIntText(value=0, min=0, max=2**31 - 1, description="seed")
        self.restarts = ipw.BoundedIntText(value=1, min=1, max=100, description="restarts")
        along = [str(k) for k, v in data.coords.items() if v.dims == ("specimen",) and k != "specimen"]
        self.groups = ipw.Dropdown(options=[*_GROUPS.items(), *((k, k) for k in along)], value="auto")
        self.groups.description, self.groups.tooltip = "groups", "specimens that were made together: held out together"
        self.device = ipw.Dropdown(options=("auto", "cpu", "cuda"), value="auto", description="device")
        self._choices = (self.clusters, self.auto, self.latent_dim, self.epochs, self.seed, self.restarts, self.groups,
                         self.device)  # fmt: skip
        for box in (one for one in self._choices if one is not self.auto):
            box.layout.width = "170px"
        self.groups.layout.width = "230px"
        self.start_button = self.button("Fit", self.start, style="primary", icon="play")
        self.cancel_button = self.button(
            "Stop", self.cancel, style="warning", icon="stop", hint="Stop after this epoch and keep the fit so far"
        )
        self.cancel_button.disabled = True
        self.bar = ipw.FloatProgress(min=0.0, max=1.0, value=0.0)
        self.bar.layout.width = "200px"
        self.elbo = Chart(height=220)
        self.occupancy = Chart(height=220, y_range=[0.0, 1.0])
        self.copy = CopyButton()
        self.source = ipw.HTML()
        self.verdict, self.report = ipw.HTML(), ipw.HTML()
        self.verdict.add_class("pima-verdict")
        self._clear_charts()
        live = ipw.Box([self.elbo, self.occupancy], layout=ipw.Layout(display="flex", flex_flow="row wrap"))
        for chart in (self.elbo, self.occupancy):
            chart.layout.flex = "1 1 320px"
        for box in (*self._choices, *(box for one in self.rows for box in (one.kind, one.expert, one.noise))):
            box.observe(self._rewrite, "value")
        self._rewrite()
        self.save_row = SaveRow(self, SAVES, lambda kind, path: write_fit(self._saved(), self.data, kind, path))
        self.say(f"{specimens} specimens; ready")
        self.children = [
            heading("What was measured, and how to describe it"),
            *(one.widget for one in self.rows),
            row(self.clusters, self.auto, self.latent_dim, self.epochs, self.seed),
            row(self.groups, self.restarts, self.device),
            row(self.start_button, self.cancel_button, self.bar, self.status),
            self.error,
            self.verdict,
            live,
            row(self.copy, ipw.HTML('<span style="opacity:.7">epochs 0: as many as the data need</span>')),
            self.source,
            self.report,
            self.save_row,
        ]

    @property
    def job(self) -> BackgroundTask:
        """The name of :attr:`task` in version 0.1."""
        raise AttributeError("panel.job is called panel.task since 0.2")

    def offer(self, expert: pima.Expert) -> None:
        """Let a registered expert be chosen; curves measured against its input take it at once."""
        for one in self.rows:
            if one.curve:
                one.offer(expert)

    def adopt(self, fit: pima.Fit) -> None:
        """Choose as a fit was made, so that the button makes it again; the status names what cannot be chosen here.

        Args:
            fit: A fit of the same variables.
        """
        options, settings = fit.model.options, fit.settings
        others = [one.name for one in self.rows if not one.choose(options.modalities.get(one.name))]
        others += [name for name in options.modalities if name not in {one.name for one in self.rows}]
        chosen = {"clusters": self.clusters, "latent_dim": self.latent_dim}
        for name, box in chosen.items():
            box.max = max(box.max, getattr(options, name))
            box.value = getattr(options, name)
        self.auto.value = False
        # None is also what "found by name" came to where no name was found.
        if settings.groups in self.data.coords:
            self.groups.value = settings.groups
        if settings.device in self.device.options:
            self.device.value = settings.device
        self.restarts.value = settings.restarts
        self._latest = fit
        self.epochs.max = max(self.epochs.max, settings.epochs or 0)
        self.epochs.value, self.seed.value = settings.epochs or 0, settings.seed
        # The inference that such a model has by itself is no choice.
        usual = {"inference"} if replace(options, inference=None).inference == options.inference else set()
        for made, here in ((options, {"modalities", *chosen, *usual}), (settings, set(_SETTINGS))):
            left = [f for f in fields(made) if f.name not in here]
            others += [f.name for f in left if getattr(made, f.name) != f.default]
        but = f", but for its own {', '.join(others)}" if others else ""
        self.say(f"chosen as in the fit{but}")

    def model(self) -> pima.PIMA:
        """Make the model that is chosen.

        Raises:
            OptionError: If nothing is chosen.
        """
        modalities = {one.name: one.modality for one in self.rows if one.modality is not None}
        clusters = "auto" if self.auto.value else self.clusters.value
        return pima.PIMA(modalities, clusters=clusters, latent_dim=self.latent_dim.value)

    def settings(self) -> dict[str, object]:
        """Return what the training is told: the seed, and what differs from what it does by itself."""
        usual = {"epochs": 0, "restarts": 1, "groups": "auto", "device": "auto"}
        asked = {name: getattr(self, name).value for name in _SETTINGS}
        return {name: value for name, value in asked.items() if name == "seed" or value != usual[name]}

    def _saved(self) -> pima.Fit:
        """Return the fit that is to be saved, which was made or opened last.

        Raises:
            OptionError: If there is none.
        """
        if self._latest is None:
            raise pima.errors.OptionError("there is no fit to save yet: press Fit, and wait for it")
        return self._latest

    def code(self) -> str:
        """Write the same fit as Python, ``data`` being the dataset."""
        chosen = [f'        "{one.name}": {one.code},' for one in self.rows if one.modality is not None]
        clusters = '"auto"' if self.auto.value else self.clusters.value
        settings = "".join(f", {name}={_quoted(value)}" for name, value in self.settings().items())
        return "\n".join(
            [
                "import pima_toolkit as pima",
                "",
                "model = pima.PIMA(",
                "    {",
                *chosen,
                "    },",
                f"    clusters={clusters},",
                f"    latent_dim={self.latent_dim.value},",
                ")",
                f"fit = model.fit(data{settings})",
            ]
        )

    def _rewrite(self, _: object = None) -> None:
        self.clusters.disabled = self.auto.value
        if self.verdict.value and not (self.task and self.task.alive):
            # What stands below is of the choices before: it goes, the fit itself stays.
            self.verdict.value = self.report.value = ""
            self._clear_charts()
            self.say("the choices have changed since the fit: press Fit to make it anew")
        self.copy.text = self.code()
        self.source.value = f"<details><summary>as Python</summary><pre>{escape(self.code())}</pre></details>"
        self.selection = [one.name for one in self.rows if one.modality is not None]
        physics = [one for one in self.rows if one.kind.value == _PHYSICS]
        self.expert = pima.get_expert(physics[0].expert.value) if physics else None

    def start(self) -> BackgroundTask:
        """Begin the fit in the background; :meth:`wait` waits for it.

        Returns:
            The task.

        Raises:
            RuntimeError: If a fit is under way.
            OptionError: If the choices do not go together.
        """
        if self.task is not None and self.task.alive:
            raise RuntimeError("a fit is under way: stop it first, or wait for it")
        model, settings, data = self.model(), self.settings(), self.data

        def work(task: BackgroundTask) -> pima.Fit:
            with told_warnings() as task.told:
                return model.fit(data, **settings, progress=False, callbacks=[task.report])

        self.error.value = self.report.value = self.verdict.value = ""
        self._clear_charts()
        self.start_button.disabled, self.cancel_button.disabled = True, False
        self.bar.value, self.bar.bar_style = 0.0, ""
        self.say("reading the data and finding where to start")
        self._began = time.monotonic()
        self.task = BackgroundTask(work).start()
        self._watcher = watch(self.task, self._show)
        return self.task

    def cancel(self) -> None:
        """Stop after the epoch under way; the fit so far becomes the result."""
        if self.task is not None:
            self.say("stopping after this step")
            self.task.cancel()

    def wait(self, timeout: float | None = None) -> pima.Fit | None:
        """Wait for the fit and for the panel to show it.

        Args:
            timeout: Seconds at most, for each of the two.

        Returns:
            The fit; None if it goes on, or was stopped before there was any.

        Raises:
            RuntimeError: If no fit was started.
            PimaError: What the fit raised.
        """
        if self.task is None:
            raise RuntimeError("no fit was started: call start()")
        try:
            return self.task.wait(timeout)
        finally:
            self._watcher.join(timeout)

    def _clear_charts(self) -> None:
        empty = np.zeros((0, 1))
        self.elbo.draw(np.zeros(1), empty, [], labels=("epoch", "ELBO (nats per specimen)"))
        self.occupancy.draw(np.zeros(1), empty, [], labels=("epoch", "share of the specimens"))

    def _show(self, task: BackgroundTask, ended: bool) -> None:
        """Copy the task's state to the widgets, on the watching thread: no other writes them while a fit goes on."""
        reports = list(task.reports)
        joint = [r for r in reports if r.phase == "joint" and r.restart == reports[-1].restart]
        if joint:
            epoch = np.array([r.epoch for r in joint])
            self.elbo.draw(epoch, np.array([[r.elbo for r in joint]]), [{"colour": 0, "width": 2}],
                           labels=("epoch", "ELBO (nats per specimen)"))  # fmt: skip
            shares = np.array([r.occupancy for r in joint]).T
            styles = [{"colour": c, "width": 2, "name": f"population {c}"} for c in range(len(shares))]
            self.occupancy.draw(epoch, shares, styles, labels=("epoch", "share of the specimens"))
        if reports and not ended:
            last = reports[-1]
            share = last.epoch / last.epochs
            same = [r for r in reports if r.phase == last.phase]
            self.bar.value = share
            passed = time.monotonic() - self._began
            left = passed / len(reports) * (last.epochs - len(same))
            prefix = "stopping; " if task.stopping else ""
            self.say(f"{prefix}{last.title}, epoch {last.epoch} of {last.epochs}, about {max(left, 0):.0f} s left")
        if ended:
            self._end(task)

    def _end(self, task: BackgroundTask) -> None:
        self.start_button.disabled, self.cancel_button.disabled = False, True
        if task.error is not None:
            self.bar.bar_style = "danger"
            self.fail(task.error, self.start_button)
            self.say("the fit failed")
            return
        if task.state == "left":
            self.say("stopped before the first clusters were found: there is nothing to keep")
            return
        fit = task.result
        seconds = time.monotonic() - self._began
        self.verdict.value = _verdict_html(fit.summary(), task.told)
        self.report.value = f"<details><summary>report</summary>{fit._repr_html_()}</details>"
        self.result = fit
        # Said last: who reads "fitted" finds the result there.
        self.bar.value, self.bar.bar_style = 1.0, "warning" if fit.interrupted else "success"
        self.say(f"{'stopped: the fit so far' if fit.interrupted else 'fitted'} after {seconds:.0f} s")


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _verdict_html(summary: str, told: Sequence[str]) -> str:
    """Write what was checked, and what speaks against a fit: paragraphs, and a list of the lines that begin with -."""
    lines = [f"<li>{escape(line[2:])}</li>" if line.startswith("- ") else f"<div>{escape(line)}</div>"
             for line in summary.split("\n")]  # fmt: skip
    return f"{''.join(lines)}{notes_html(told)}"
