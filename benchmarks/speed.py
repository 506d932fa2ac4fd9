"""What a training epoch costs beyond its networks, how long it takes to begin, and how fast pictures are read.

    python benchmarks/speed.py                                 # MNIST's size: minutes
    python benchmarks/speed.py --specimens 5000 --epochs 3     # a short look
    python benchmarks/speed.py --precision float32

Pictures of random pixels and lines of random digits, generated: how fast the arithmetic runs does not depend on them.
The epoch of ``PIMA.fit`` is set against a bare loop of the same networks' forward, backward and Adam on tensors already
in memory, in the same precision. The two take turns, epoch by epoch in the same process; medians are told, as seconds
of the clock and of the processor. Appends a line to benchmarks/results/speed.jsonl.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.fitting.options import TrainingSettings
from pima_toolkit.fitting.run import Progress
from pima_toolkit.model.fusion import fuse
from pima_toolkit.model.network import build

RESULTS = Path(__file__).parent / "results" / "speed.jsonl"
MODALITIES = {"image": pima.Neural(), "line": pima.Physics("proportional")}
BATCH, LATENT = 256, 3


def generated(specimens: int) -> xr.Dataset:
    """Pictures of 28x28 random pixels, and lines of 20 points with noise of variance 0.01."""
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 1.0, 20)
    line = rng.integers(0, 10, (specimens, 1)) * t + 0.1 * rng.standard_normal((specimens, 20))
    image = rng.random((specimens, 28, 28), dtype=np.float32)
    return xr.Dataset(
        {"image": (("specimen", "y", "x"), image), "line": (("specimen", "t"), line)}, {"t": ("t", t, {"units": "1"})}
    )


class BareLoop:
    """Forward, backward and Adam of the same networks, and nothing else: mean squared error and KL to N(0, I).

    Args:
        data: What the fit is trained on.
        settings: For batch size, precision and learning rate.
    """

    def __init__(self, data: xr.Dataset, settings: TrainingSettings) -> None:
        self.device = settings.torch_device()
        self.batches, _, _ = settings.steps(data.sizes["specimen"])
        self.autocast = settings.autocast(self.device)
        inputs = {"image": data.image.values[:, None], "line": data.line.values[:, None]}
        self.inputs = {n: torch.as_tensor(v, dtype=torch.float32, device=self.device) for n, v in inputs.items()}
        shapes = {name: tuple(x.shape[1:]) for name, x in self.inputs.items()}
        self.network = build(0, MODALITIES, shapes, LATENT).to(self.device)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), settings.learning_rate, fused=True)
        self.present = {name: torch.ones(len(x), dtype=torch.bool, device=self.device) for name, x in inputs.items()}

    def epoch(self) -> None:
        """One pass in random order."""
        self.network.train()
        order = torch.randperm(len(self.present["image"]), device=self.device)
        for index in order.tensor_split(self.batches):
            x = {name: values[index] for name, values in self.inputs.items()}
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                embeddings = self.network.embeddings(x)
                posterior = fuse(embeddings, {name: flags[index] for name, flags in self.present.items()})
                z = posterior.sample(torch.randn_like(posterior.mean))
                decoded = self.network.decode("image", z)
            squared = (x["image"] - decoded.float()).square().flatten(1).sum(1)
            kl = 0.5 * (posterior.mean.square() + posterior.variance - 1.0 - posterior.variance.log()).sum(1)
            self.optimiser.zero_grad(set_to_none=True)
            (0.5 * squared + kl).mean().backward()
            self.optimiser.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def epochs(data: xr.Dataset, count: int, precision: str) -> dict:
    """Our epoch and the bare one in turn, and what passed before the first step."""
    bare = BareLoop(data, TrainingSettings(batch_size=BATCH, precision=precision))
    clock: dict[str, list[float]] = {"ours": [], "ours_cpu": [], "bare": [], "bare_cpu": []}
    setup = {}
    bare.epoch()  # first calls compile and allocate
    last = began = time.perf_counter()
    last_cpu = time.process_time()

    def after(progress: Progress) -> None:
        nonlocal last, last_cpu
        if progress.phase != "joint":
            return
        now, now_cpu = time.perf_counter(), time.process_time()
        if progress.epoch == 1:
            setup["to_first_epoch"] = now - began
        else:
            clock["ours"].append(now - last)
            clock["ours_cpu"].append(now_cpu - last_cpu)
        last, last_cpu = time.perf_counter(), time.process_time()
        bare.epoch()
        clock["bare"].append(time.perf_counter() - last)
        clock["bare_cpu"].append(time.process_time() - last_cpu)
        last, last_cpu = time.perf_counter(), time.process_time()

    model = pima.PIMA(MODALITIES, clusters=10, latent_dim=LATENT, inference="paper")
    fit = model.fit(
        data,
        epochs=count + 1,
        crossmodal_epochs=1,
        batch_size=BATCH,
        precision=precision,
        callbacks=[after],
        progress=False,
    )
    median = {name: float(np.median(values)) for name, values in clock.items()}
    return {
        **{f"epoch_{name}": value for name, value in median.items()},
        "ratio": median["ours"] / median["bare"],
        "ratio_cpu": median["ours_cpu"] / median["bare_cpu"],
        # The first epoch is taken off at the length of the others.
        "setup": setup["to_first_epoch"] - median["ours"],
        "bfloat16": bool(fit.record.facts["bfloat16"]),
        **inference(fit, data, precision),
    }


def inference(fit: pima.Fit, data: xr.Dataset, precision: str) -> dict:
    """Pictures a second to cluster: with how typical each is, and screened without, in float32 and as asked for."""
    pictures = data[["image"]].isel(specimen=slice(0, 10_000))
    kinds = {
        "answers": {},
        "screened_float32": {"typical": False},
        "screened": {"typical": False, "precision": precision},
    }
    out = {}
    for name, how in kinds.items():
        fit.infer(pictures.isel(specimen=slice(0, 512)), predict=(), **how)
        seconds = []
        for _ in range(5):
            began = time.perf_counter()
            fit.infer(pictures, predict=(), **how)
            seconds.append(time.perf_counter() - began)
        out[f"{name}_per_second"] = pictures.sizes["specimen"] / float(np.median(seconds))
    return out


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=6, help="of each; the first of ours is not counted")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    found = epochs(generated(asked.specimens), asked.epochs, asked.precision)
    row = {
        "specimens": asked.specimens,
        "epochs": asked.epochs,
        **found,
        "date": str(date.today()),
        "machine": f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}",
        "load": round(load, 1),
    }
    lines.append(RESULTS, row)
    for name, value in row.items():
        print(f"{name:<24} {value:.4g}" if isinstance(value, float) else f"{name:<24} {value}")  # noqa: T201


if __name__ == "__main__":
    main()
