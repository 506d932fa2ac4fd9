"""An example plugin: one expert, written as a formula."""

from __future__ import annotations

import pima_toolkit as pima

#: The plugin interface this was written for.
PIMA_API = (1, 0)


class Hollomon(pima.SympyExpert):
    r"""Power-law hardening, :math:`\sigma = K \varepsilon^n`.

    ==== ======= ============ =================================
    name unit    bounds       meaning
    ==== ======= ============ =================================
    K    {y}     K >= 0       strength coefficient
    n    1       0 <= n <= 1  strain-hardening exponent
    ==== ======= ============ =================================

    Valid for: true stress against true plastic strain, after yield and before necking.
    Source: Hollomon 1945, Trans. AIME 162, 268.
    """

    name, t, formula = "hollomon", "strain", "K * strain**n"
    parameters = (
        pima.Parameter("K", unit="{y}", lower=0, description="strength coefficient"),
        pima.Parameter("n", unit="1", lower=0, upper=1, description="strain-hardening exponent"),
    )


@pima.hookimpl
def pima_experts() -> list[type[pima.Expert]]:
    """The experts of this plugin."""
    return [Hollomon]
