"""Run by .ci/run against the installed wheel, from another folder: is everything in it that a small fit needs?"""

from importlib.util import find_spec

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
if find_spec("pima_widgets") is None:  # its libraries are an extra: it need only be there
    raise SystemExit("the panels are not in the wheel")
print("smoke test passed:", pima_experts.__name__, dict(answer.sizes))  # noqa: T201 - a program
