"""A plugin for pima_toolkit: one expert, written as a formula."""

from __future__ import annotations

import pima_toolkit as pima

#: The plugin interface this was written for.
PIMA_API = (1, 1)


class HallPetch(pima.SympyExpert):
    r"""Strength against grain size, :math:`\sigma_y = \sigma_0 + k / \sqrt{d}`.

    Valid for: yield stress of metals with grains from about 0.1 to some 100 micrometres.
    Source: Hall 1951, Proc. Phys. Soc. B 64, 747; Petch 1953, J. Iron Steel Inst. 174, 25.
    """

    name, t, formula = "hall_petch", "grain_size", "sigma_0 + k / sqrt(grain_size)"
    parameters = (
        pima.Parameter("sigma_0", unit="{y}", lower=0, description="friction stress, the strength of one crystal"),
        pima.Parameter("k", unit="{y}*{t}**0.5", lower=0, description="strengthening by grain boundaries"),
    )
    example = pima.Example(
        t=(1, 100), parameters={"sigma_0": 70, "k": 740}, y="yield stress", y_unit="MPa", t_unit="um"
    )


@pima.hookimpl
def pima_experts() -> list[type[pima.Expert]]:
    """Give the experts of this plugin."""
    return [HallPetch]
