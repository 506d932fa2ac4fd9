"""The README's first screen and a fit of one expert, for the type checker: what each line gives is no ``Any``.

Read by `make lint` and by a test, never run.
"""

from pathlib import Path
from typing import assert_type

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import pima_toolkit as pima

data = assert_type(pima.datasets.lattice(60), xr.Dataset)
train, test = pima.split(data, test=0.2, seed=0)
assert_type(train, xr.Dataset)
model = pima.PIMA(
    {"image": pima.Neural(), "stress": pima.Physics("linear_hardening")},
    clusters=2,
    latent_dim=2,
)
fit = assert_type(model.fit(train, seed=0), pima.Fit)

answer = assert_type(fit.infer(test[["image"]]), xr.Dataset)
assert_type(fit.parameters, xr.Dataset)
assert_type(fit.specimens, xr.Dataset)
assert_type(fit.generate(cluster=0, n=16), xr.Dataset)
assert_type(fit.settings.seed, int)
assert_type(fit.report(), str)
assert_type(fit.save("lattice.pima"), Path)
assert_type(pima.load("lattice.pima"), pima.Fit)
assert_type(pima.select_clusters(model, data), pima.Selection)

expert = assert_type(pima.get_expert("voce"), pima.Expert)
assert_type(expert.parameters, tuple[pima.Parameter, ...])
strain = np.linspace(0.0, 0.1, 50)
solution = assert_type(expert.fit(strain, 300.0 * strain), pima.Solution)
assert_type(solution.parameters, xr.Dataset)
assert_type(solution["rise"], xr.Dataset)
assert_type(solution.fitted, NDArray[np.float64])
assert_type(solution.bootstrap(seed=0), xr.Dataset)
assert_type(pima.SympyExpert("K * strain**n", t="strain"), pima.SympyExpert)
