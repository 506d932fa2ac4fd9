"""Run by .ci/run against the installed wheel, from another folder: is everything in it that a small fit needs?"""

import pima_experts
import pima_widgets

import pima_toolkit as pima

data = pima.datasets.digits().isel(specimen=slice(200))
model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=10, latent_dim=2)
fit = model.fit(data, seed=0, epochs=1, progress=False)
answer = fit.infer(data[["image"]])
fit.save("smoke.pima")
again = pima.load("smoke.pima").infer(data[["image"]])
if abs(again.responsibilities - answer.responsibilities).max() > 1e-4:  # float32 networks
    raise SystemExit("a saved fit answers otherwise than the one that was saved")
print("smoke test passed:", pima_experts.__name__, pima_widgets.__name__, dict(answer.sizes))  # noqa: T201 - a program
