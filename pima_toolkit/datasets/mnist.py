"""MNIST with a line for each digit: the paper's first experiment."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from ..errors import FileFormatError
from ._lines import with_lines
from ._store import PublishedFile

STORED = PublishedFile(
    name="mnist.npz",
    source="LeCun, Cortes, Burges: the MNIST database of handwritten digits",
    arrays={"x_train": (60000, 28, 28), "y_train": (60000,), "x_test": (10000, 28, 28), "y_test": (10000,)},
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)

#: How often each digit occurs in y_train: tells MNIST from its look-alikes, whatever the container.
_HISTOGRAM = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def mnist(noise_variance: float = 0.01, seed: int = 0, path: str | os.PathLike[str] | None = None) -> xr.Dataset:
    """70,000 handwritten digits of 28x28 pixels, each with a noisy line whose slope is the digit.

    Args:
        noise_variance: Variance of the line's noise. The paper's noisy case, 0.5, is read as a variance in its text and
            as a std in its authors' code: pass 0.5 or 0.25.
        seed: Seed of the noise.
        path: The file ``mnist.npz`` or its folder; else ``PIMA_DATA``, the user's cache, a download of 11 MB.

    Returns:
        ``image`` (specimen, y, x) float32 in 0..1; ``line`` (specimen, t), dimensionless, t = linspace(0, 1, 20);
        coordinates ``label`` and ``split`` ("train" or "test") (specimen), original order.

    Raises:
        DataError: If the file is nowhere and cannot be downloaded.
        FileFormatError: If it is not MNIST.
        MissingDependency: If a download is needed and pooch is missing.

    Source: Trask et al. 2022, figure 2.
    """
    arrays = STORED.load(path)
    counts = np.bincount(arrays["y_train"].astype(np.int64), minlength=10)
    if tuple(counts) != _HISTOGRAM:
        raise FileFormatError(
            f"the file {STORED.name} has MNIST's shapes but not its labels (counts {counts.tolist()}, expected "
            f"{list(_HISTOGRAM)}): fetch it from {STORED.url}"
        )
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
    images = np.concatenate([arrays["x_train"], arrays["x_test"]]).astype(np.float32)
    images /= 255
    data = with_lines(
        images,
        labels,
        noise_variance,
        seed,
        {
            "title": "MNIST with lines",
            "source": STORED.source,
            "licence": "CC BY-SA 3.0, as commonly stated for MNIST",
            "citation": "LeCun, Bottou, Bengio, Haffner 1998, Proc. IEEE 86(11), 2278, doi 10.1109/5.726791",
        },
    )
    return data.assign_coords(split=("specimen", np.repeat(["train", "test"], [60000, 10000])))
