"""What a fit says of itself: whether to trust it, and how far its restarts agree."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...data import closest
from ...errors import OptionError
from ..trained import Trained
from .cautions import SURE, cautions, how_stable
from .reliability import calibration_of


class Trust:
    """The part of :class:`pima_toolkit.Fit` that is about how far to believe it."""

    _trained: Trained
    experts: xr.Dataset

    @property
    def interrupted(self) -> bool:
        """Whether training was stopped by hand before its end."""
        return bool(self._trained.notes["interrupted"])

    def summary(self) -> str:
        """Whether to trust this fit, in plain words: a verdict, what speaks against it, and how sure it is.

        What is looked for: clusters that are empty, tiny or the same as another, restarts that disagree, an ELBO that
        was still rising, laws that miss their curves, parameters at a bound or not determined, bands that do not hold
        what the model says, specimens that belong nowhere. Nothing found is no proof.
        """
        trained = self._trained
        found = cautions(trained, self.parameters)
        serious = [c.words for c in found if c.serious]
        mild = [c.words for c in found if not c.serious]
        if serious:
            lines = ["Do not trust this fit as it is:", *(f"- {words}" for words in serious)]
            lines += ["Also to know:", *(f"- {words}" for words in mild)] if mild else []
        elif mild:
            lines = ["This fit can be used, knowing that:", *(f"- {words}" for words in mild)]
        else:
            lines = ["Nothing was found that speaks against this fit."]
        gamma = trained.training["responsibilities"].values
        shares = ", ".join(f"{100 * share:.0f} %" for share in gamma.mean(0))
        sure = int((gamma.max(1) >= SURE).sum())
        lines.append(
            f"{len(gamma)} specimens in {trained.options.clusters} clusters ({shares}); {sure} of them belong to one"
            f" with at least {100 * SURE:.0f} % probability."
        )
        lines.append(how_stable(trained))
        return "\n".join(lines)

    @property
    def stability(self) -> xr.Dataset:
        """How far restarts agree, how full the clusters are, and which specimens are uncertain.

        ``elbo`` (restart), with the priors of parameters; ``agreement`` (restart, other), the adjusted Rand index of
        their clusters; ``occupancy`` (cluster); per specimen ``probability`` of its cluster, ``restarts_agree``, the
        share of the other restarts that put it into the same one (NaN where there was one run), and ``uncertain``,
        where the probability is below 0.9 or half of the restarts or more disagree.
        """
        trained = self._trained
        about = trained.notes.get("restarts") or {"elbo": [float("nan")], "agreement": [[1.0]]}
        gamma = trained.training["responsibilities"]
        probability = gamma.max("cluster").values
        specimens = np.full(len(probability), np.nan)
        agree = trained.training["restarts_agree"].values if "restarts_agree" in trained.training else specimens
        share = {"units": "1"}
        return xr.Dataset(
            {
                "elbo": ("restart", np.array(about["elbo"], dtype=float), {"units": "nat per specimen"}),
                "agreement": (("restart", "other"), np.array(about["agreement"], dtype=float), share),
                "occupancy": ("cluster", gamma.values.mean(0), share),
                "probability": ("specimen", probability, share),
                "restarts_agree": ("specimen", agree, share),
                "uncertain": ("specimen", (probability < SURE) | (agree <= 0.5)),
            },
            coords={k: v for k, v in trained.training.coords.items() if k == "specimen"},
            attrs={"best": int(trained.notes["restart"])},
        )

    def calibration(self, data: xr.Dataset, labels: str | None = None) -> xr.Dataset:
        """Whether probabilities and bands hold what they say, on specimens not trained on.

        Args:
            data: Specimens with what was measured of them; a curve is predicted from the other modalities alone.
            labels: A coordinate along specimen with what they are, to judge probabilities of clusters by.

        Returns:
            With curves to judge: ``held`` (modality, coverage), the share of the measured points inside the band of
            that coverage. With labels: along ``bin`` ``confidence``, ``accuracy``, ``specimens``, and
            ``attrs["calibration_error"]``. ``plots.plot_calibration`` draws it.

        Raises:
            DataError: If there is neither a curve with another modality beside it, nor a label.
        """
        if labels is not None and labels not in data.variables:
            raise OptionError(f"labels={labels!r} is no coordinate of the data: {closest(labels, data.coords)}")
        return calibration_of(self._trained, data, None if labels is None else data[labels].values)
