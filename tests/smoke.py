"""Run by .ci/run against the installed wheel, from another folder: is everything in it that a small fit needs?"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pima_experts

import pima_toolkit as pima

data = pima.datasets.digits().isel(specimen=slice(200))
model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=10, latent_dim=2)
fit = model.fit(data, seed=0, epochs=1, progress=False)
answer = fit.infer(data[["image"]])
fit.save("smoke.pima")
again = pima.load("smoke.pima").infer(data[["image"]])
if abs(again.responsibilities - answer.responsibilities).max() > 1e-4:  # float32 networks
    raise SystemExit("a saved fit answers otherwise than the one that was saved")
for package in ("pima_toolkit", "pima_experts", "pima_widgets"):  # the panels' libraries are an extra
    spec = find_spec(package)
    if spec is None or not Path(spec.origin).with_name("py.typed").exists():
        raise SystemExit(f"{package} is not in the wheel, or without its types")
strain = np.linspace(0.0, 0.1, 50)
solution = pima.get_expert("hollomon").fit(strain, 500.0 * strain**0.2)
if abs(solution.parameters.value.values[0] - [500.0, 0.2]).max() > 1e-3:
    raise SystemExit(f"a fit of one expert gave {solution.parameters.value.values[0]}")
print("smoke test passed:", pima_experts.__name__, dict(answer.sizes))  # noqa: T201 - a program
