"""One training of peers.py in a process of its own: ours, or MultiVae's MVAE or CMVAE, on the same arrays and networks.

    python peers_worker.py ours|mvae|cmvae ARRAYS.npz ANSWERS.npz --epochs 20 --batch 128 --latent 3 --threads 2

Reads train and test pictures and lines, scaled by the training set, and writes cluster numbers of the test specimens
from both modalities, from the picture and from the line, the line predicted from the picture, and what it cost. It
sees no labels. MultiVae runs in an environment of its own, which has torch and the networks of pima_toolkit, no more.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

CLUSTERS = 10
#: Learning rate of MultiVae's models; ours has its own schedule.
RATE = 1e-3
Answer = dict[str, np.ndarray | float]


def ours(arrays: dict[str, np.ndarray], asked: argparse.Namespace) -> Answer:
    """pima_toolkit, defaults throughout, in float32 as the peers."""
    import xarray as xr

    import pima_toolkit as pima

    def dataset(part: str) -> xr.Dataset:
        return xr.Dataset(
            {
                "image": (("specimen", "y", "x"), arrays[f"{part}_image"]),
                "line": (("specimen", "t"), arrays[f"{part}_line"]),
            },
            {"t": ("t", arrays["t"], {"units": "1"})},
        )

    train, test = dataset("train"), dataset("test")
    model = pima.PIMA(
        {"image": pima.Neural(), "line": pima.Physics("affine")}, CLUSTERS, asked.latent, inference="paper"
    )
    ends = []

    def after(progress: object) -> None:
        if progress.phase == "joint":
            ends.append((time.perf_counter(), time.process_time()))

    options = {"seed": asked.seed, "epochs": asked.epochs, "batch_size": asked.batch, "precision": "float32"}
    began, began_cpu = time.perf_counter(), time.process_time()
    fit = model.fit(train, **options, callbacks=[after], progress=False)
    out: Answer = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - began_cpu}
    out |= an_epoch(ends)
    for name, part in (("both", ["image", "line"]), ("image", ["image"]), ("line", ["line"])):
        out[name] = fit.infer(test[part], predict=()).cluster.values
    out["curve"] = fit.infer(test[["image"]], predict="line").line.values
    return out


def an_epoch(ends: list[tuple[float, float]]) -> Answer:
    """Median seconds from the end of an epoch to that of the next, by the clock and of the processors."""
    clock, cpu = np.median(np.diff(ends, axis=0), axis=0)
    return {"epoch": float(clock), "epoch_cpu": float(cpu)}


def peer(kind: str) -> Callable[[dict[str, np.ndarray], argparse.Namespace], Answer]:
    """MultiVae's model of this kind."""

    def run(arrays: dict[str, np.ndarray], asked: argparse.Namespace) -> Answer:
        torch.manual_seed(asked.seed)
        inputs = {
            part: {name: torch.as_tensor(arrays[f"{part}_{name}"], dtype=torch.float32)[:, None] for name in SHAPED}
            for part in ("train", "test")
        }
        model = build(kind, {name: tuple(x.shape[1:]) for name, x in inputs["train"].items()}, asked)
        return trained(kind, model, inputs, asked)

    return run


SHAPED = ("image", "line")


def build(kind: str, shapes: dict[str, tuple[int, ...]], asked: argparse.Namespace) -> nn.Module:
    """The model with our encoders and decoders inside MultiVae's classes."""
    from multivae.models import CMVAE, MVAE, CMVAEConfig, MVAEConfig
    from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
    from multivae.models.nn import BaseMultilatentEncoder

    from pima_toolkit.model.encoders.decoders import decoder
    from pima_toolkit.model.encoders.encoders import Encoder

    private = asked.latent if kind == "cmvae" else 0
    latent = asked.latent

    class OneEncoder(BaseEncoder if kind == "mvae" else BaseMultilatentEncoder):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.network = Encoder(shape, latent + private)
            self.latent_dim, self.style_dim = latent, private

        def forward(self, x: Tensor) -> ModelOutput:
            found = self.network(x)
            log_variance = found.variance.log()
            return ModelOutput(
                embedding=found.mean[:, :latent],
                log_covariance=log_variance[:, :latent],
                style_embedding=found.mean[:, latent:],
                style_log_covariance=log_variance[:, latent:],
            )

    class OneDecoder(BaseDecoder):
        def __init__(self, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.network = decoder(shape, latent + private)
            self.latent_dim = latent + private

        def forward(self, z: Tensor) -> ModelOutput:
            leading = z.shape[:-1]
            flat = self.network(z.reshape(-1, z.shape[-1]))
            return ModelOutput(reconstruction=flat.reshape(*leading, *flat.shape[1:]))

    encoders = {name: OneEncoder(shape) for name, shape in shapes.items()}
    decoders = {name: OneDecoder(shape) for name, shape in shapes.items()}
    noise = {"image": {"scale": asked.image_std}, "line": {"scale": asked.line_std}}
    common = {"n_modalities": len(shapes), "latent_dim": latent, "input_dims": shapes, "decoder_dist_params": noise}
    if kind == "mvae":
        return MVAE(MVAEConfig(**common, warmup=max(1, asked.epochs // 2)), encoders, decoders)
    config = CMVAEConfig(
        **common,
        K=asked.samples,
        modalities_specific_dim=private,
        number_of_clusters=CLUSTERS,
    )
    return CMVAE(config, encoders, decoders)


def trained(kind: str, model: nn.Module, inputs: dict[str, dict[str, Tensor]], asked: argparse.Namespace) -> Answer:
    """Train with MultiVae's own trainer and read clusters and curves off the test specimens."""
    from multivae.data.datasets.base import MultimodalBaseDataset
    from multivae.trainers import BaseTrainer, BaseTrainerConfig
    from multivae.trainers.base.callbacks import TrainingCallback

    from pima_toolkit.fitting.inputs.tensors import keep_freed_memory

    ends = []

    class After(TrainingCallback):
        def on_epoch_end(self, *_: object, **__: object) -> None:
            ends.append((time.perf_counter(), time.process_time()))

    # What ours has too, and what is not the model.
    keep_freed_memory()
    model.to(memory_format=torch.channels_last)
    train, test = (MultimodalBaseDataset(inputs[part]) for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=asked.epochs,
            per_device_train_batch_size=asked.batch,
            learning_rate=RATE,
            seed=asked.seed,
            no_cuda=True,
        )
        trainer = BaseTrainer(model, train_dataset=train, training_config=config, callbacks=[After()])
        began, began_cpu = time.perf_counter(), time.process_time()
        trainer.train()
        out: Answer = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - began_cpu}
    out |= an_epoch(ends)
    model = trainer._best_model.eval()  # of the epoch with the least loss, as MultiVae saves it
    with torch.no_grad():
        out |= mvae_clusters(model, train, test, asked.seed) if kind == "mvae" else cmvae_clusters(model, test)
        seen = model.encode(test, cond_mod=["image"], return_mean=True)
        out["curve"] = model.decode(seen, modalities=["line"])["line"].reshape(len(inputs["test"]["line"]), -1).numpy()
    return out


def mvae_clusters(model: nn.Module, train: object, test: object, seed: int) -> Answer:
    """A Gaussian mixture on the means of the training specimens, of each subset its own: MVAE has no clusters."""
    from sklearn.mixture import GaussianMixture

    def place(data: object, names: list[str]) -> np.ndarray:
        return model.encode(data, cond_mod=names, return_mean=True).z.reshape(-1, model.latent_dim).double().numpy()

    out = {}
    for part, names in {"both": list(SHAPED), "image": ["image"], "line": ["line"]}.items():
        mixture = GaussianMixture(CLUSTERS, n_init=10, reg_covar=1e-4, random_state=seed).fit(place(train, names))
        out[part] = mixture.predict(place(test, names))
    return out


def cmvae_clusters(model: nn.Module, test: object) -> Answer:
    """CMVAE's own clusters: of each modality at one sample of Z, as MultiVae reads them, and its vote among them."""
    found = model.predict_clusters(test)
    return {"both": found.clusters.numpy(), **{name: found.pc_zs[name].argmax(0).numpy() for name in SHAPED}}


def main() -> None:
    """Read, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("ours", "mvae", "cmvae"))
    parser.add_argument("arrays", type=Path)
    parser.add_argument("answers", type=Path)
    for name, default in (("epochs", 20), ("batch", 128), ("latent", 3), ("threads", 2), ("seed", 0), ("samples", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("image-std", "line-std"):
        parser.add_argument(f"--{name}", type=float, default=1.0, help="of MultiVae's decoder; ours estimates its own")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with np.load(asked.arrays) as file:
        arrays = dict(file)
    out = (ours if asked.kind == "ours" else peer(asked.kind))(arrays, asked)
    out["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.savez(asked.answers, **out)


if __name__ == "__main__":
    main()
