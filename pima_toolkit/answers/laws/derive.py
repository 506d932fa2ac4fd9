"""What a fit can be asked about its physics: a closer look by lmfit, further quantities, other laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ...experts import CurveQuantity, Expert, derive
from ..trained import Trained
from .cluster_curves import physics_name, to_lmfit
from .comparison import compare

if TYPE_CHECKING:
    from lmfit.model import ModelResult


class Laws:
    """The part of :class:`pima_toolkit.Fit` that is about physics."""

    _trained: Trained

    def to_lmfit(self, cluster: int, modality: str | None = None, *, data: xr.Dataset | None = None) -> ModelResult:
        """One cluster's curves fitted by lmfit: its report, confidence intervals by profile likelihood, and plots.

        Data are the cluster's mean curve with the root of the responsibilities over the noise as weights; chi-square,
        degrees of freedom and the scaled covariance are those of all its curves' points. lmfit takes these points as
        independent: where specimens differ its errors are too small, and those of :attr:`experts` hold. A parameter at
        its bound is held there, so that the others have errors. With ``scatter="none"`` the best parameters are those
        of :attr:`experts`; otherwise those weigh the points of a curve by how specimens differ.

        Args:
            cluster: Number of the cluster.
            modality: A physics modality; needed where there are several.
            data: The training set, for a fit read from a file.

        Returns:
            An ``lmfit.model.ModelResult``: ``.fit_report()``, ``.conf_interval()``, ``.plot()``.

        Raises:
            OptionError: If there is no such cluster or modality.
            DataError: If the data are missing, others, or too few.
            MissingDependency: If lmfit is not installed.
        """
        return to_lmfit(self._trained, cluster, modality, data)

    def derive(
        self,
        quantities: Mapping[str, str | CurveQuantity],
        units: Mapping[str, str] | None = None,
        *,
        modality: str | None = None,
        at: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """Further quantities of every cluster with propagated errors, such as ``{"energy": "sigma_y**2 / (2*E)"}``.

        Args:
            quantities: By the name it shall have, a formula of the parameters in :attr:`experts`, or a measure of the
                population's curve: ``pima.quantities.offset_yield()``, ``resilience()``, ``toughness()``,
                ``ultimate()``.
            units: Units of the formulas.
            modality: A physics modality; needed where there are several.
            at: Values of covariates, for measures of the curve.

        Returns:
            ``value``, ``std_error`` (cluster, quantity), with ``unit``.

        Raises:
            FormulaError: If a formula cannot be read, or names what is no parameter.
            OptionError: If there is no such modality, or something is missing.
            ExpertError: If a measure does not go with the law.
        """
        trained = self._trained
        name = physics_name(trained, modality)
        decoder, template = trained.state.decoders[name], trained.templates[name]
        # A parameter at its bound has slope 0: it is taken as known.
        slope = np.where(decoder.bounds.at_bound(decoder.theta), 0.0, decoder.bounds.slope(decoder.theta))
        known = np.isfinite(trained.covariance[name]).any((1, 2), keepdims=True)
        inner = np.where(np.isfinite(trained.covariance[name]), trained.covariance[name], 0.0)
        covariance = np.where(known, slope[:, :, None] * inner * slope[:, None, :], np.nan)
        return derive(
            decoder.expert,
            decoder.theta,
            covariance,
            quantities,
            units,
            reach=float(np.max(template.t)),
            y_unit=template.measured.unit,
            t_unit=template.measured.t_unit,
            at=at,
        )

    def compare(
        self,
        experts: Sequence[str | Expert | type[Expert]],
        modality: str | None = None,
        *,
        data: xr.Dataset | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> xr.Dataset:
        """Which of several laws predicts the specimens of each cluster best, when these are left out of its fit.

        Specimens belong to the clusters as in this fit, which may favour its own law a little where clusters overlap.
        Likelihoods let specimens differ, so that a curve counts once and not once a point, whatever ``scatter`` is.

        Args:
            experts: Names, experts or classes of them: ``["linear_hardening", "voce"]``. The law of this fit is
                compared too; one of its name given here takes its place.
            modality: A physics modality; needed where there are several.
            data: The training set, for a fit read from a file.
            folds: Parts of the specimens of which each is left out once.
            seed: Of the division into parts.

        Returns:
            As of :func:`pima_toolkit.compare_experts`; ``attrs["reading"]`` says what it means, ``fitted`` (expert)
            which law is that of this fit.

        Raises:
            OptionError: If no law but that of the fit is given, or there is no such modality.
            DataError: If the data are missing or others, or a law lacks an input.
        """
        return compare(self._trained, experts, modality, data, folds, seed)
