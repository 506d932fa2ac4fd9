"""The data of a training, ready: specs learned, tensors made, checked against the model, hashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..data import Measurement
from ..errors import DataError
from .inputs.domain import check_domain
from .inputs.laws import learn_laws
from .inputs.spec import InputSpec, learn_specs
from .inputs.stored import Stored
from .inputs.tensors import Tensors, presence_by_specimen, to_tensors
from .options import ModelOptions
from .state import fingerprint

#: As many latent dimensions need no more specimens.
_FEW_DIMENSIONS = 16


@dataclass(frozen=True)
class Prepared:
    """What a training works on.

    Args:
        options: The model; laws that are learned from the curves are learned.
        specs: What was learned of each modality, by name.
        tensors: Every specimen.
        fingerprint: Hash of the data as the training sees them.
    """

    options: ModelOptions
    specs: Mapping[str, InputSpec]
    tensors: Tensors
    fingerprint: str


def prepare(
    measurements: Mapping[str, Measurement],
    labels: np.ndarray,
    options: ModelOptions,
    device: torch.device,
    processes: int = 1,
) -> Prepared:
    """Make checked measurements ready for training a model.

    Args:
        measurements: By modality, of the same specimens.
        labels: Names of the specimens, for errors.
        options: The model.
        device: Where tensors are kept.
        processes: Processes that share the training, each with specimens of its own.

    Raises:
        DataError: If there are too few specimens, one without any measurement, or curves where a law has no value.
        ExpertError: If curves say too little for the law that is to be learned from them.
    """
    options = replace(options, modalities=learn_laws(measurements, options.modalities))
    specs = learn_specs(measurements, options.modalities)
    tensors = to_tensors(measurements, specs, device)
    _enough(tensors, labels, options, processes)
    check_domain(options.modalities, specs, tensors.curves)
    return Prepared(options, specs, tensors, data_fingerprint(tensors))


def _enough(tensors: Tensors, labels: np.ndarray, options: ModelOptions, processes: int) -> None:
    """Refuse data of too few specimens, or with a specimen of which nothing was measured."""
    specimens, clusters = len(tensors), options.clusters
    if specimens < 2:
        raise DataError("the dataset holds one specimen: populations need many, and at least two for anything at all")
    if specimens < clusters:
        raise DataError(
            f"{specimens} specimens cannot fill {clusters} clusters: ask for fewer clusters, or measure more"
        )
    if options.latent_dim > max(specimens, _FEW_DIMENSIONS):
        raise DataError(
            f"{specimens} specimens cannot tell {options.latent_dim} latent dimensions apart: ask for fewer, such as 3"
        )
    if specimens < 2 * processes:
        raise DataError(f"{specimens} specimens are too few for {processes} processes, each needs two: use fewer")
    presence_by_specimen(tensors, labels)


def data_fingerprint(tensors: Tensors) -> str:
    """Hash the data as the training sees them, sha256."""
    return fingerprint(_arrays(tensors), [])


def _arrays(tensors: Tensors) -> dict[str, np.ndarray | Stored]:
    arrays = {f"inputs.{name}": x if isinstance(x, Stored) else x.cpu().numpy() for name, x in tensors.inputs.items()}
    arrays |= {f"present.{name}": flags.cpu().numpy() for name, flags in tensors.present.items()}
    for name, curves in tensors.curves.items():
        arrays[f"t.{name}"] = curves.t
        arrays[f"x.{name}"] = curves.x.cpu().numpy()
        if curves.observed is not None:
            arrays[f"observed.{name}"] = curves.observed.cpu().numpy()
        if curves.weights is not None:
            arrays[f"weights.{name}"] = curves.weights.cpu().numpy()
        if curves.terms is not None:
            arrays[f"terms.{name}"] = curves.terms
        if curves.batch is not None:
            arrays[f"batch.{name}"] = curves.batch
    return arrays
