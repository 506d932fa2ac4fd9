"""State of a training, its history, and how both reach a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..data.files import replacing
from ..errors import FileFormatError, TrainingError, require
from ..model.mixture import GaussianMixture
from ..model.network import Network
from ..model.physics import PhysicsDecoder
from ..model.speaker import SpeakingNetwork
from .inputs.stored import Stored

Arrays = dict[str, Tensor]


def below(prefix: str, arrays: Mapping[str, Tensor]) -> Arrays:
    """Select the arrays whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in arrays.items() if name.startswith(prefix)}


@dataclass
class State:
    """Networks and everything with a closed form.

    Args:
        network: Encoders and neural decoders.
        mixture: The prior over the latent space.
        decoders: One physics decoder per physics modality.
        noise: Noise variance of each neural modality, in units of its range squared.
    """

    network: Network | SpeakingNetwork
    mixture: GaussianMixture
    decoders: dict[str, PhysicsDecoder]
    noise: dict[str, float]

    def arrays(self) -> Arrays:
        """All numbers, by name."""
        out = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name in ("log_weights", "mean", "variance"):
            out[f"mixture.{name}"] = getattr(self.mixture, name)
        for name, decoder in self.decoders.items():
            out |= {f"decoder.{name}.{part}": tensor for part, tensor in decoder.arrays().items()}
        for name, variance in self.noise.items():
            out[f"noise.{name}"] = torch.tensor(variance, dtype=torch.float64)
        return out

    def load(self, arrays: Mapping[str, Tensor]) -> None:
        """Take all numbers over from :meth:`arrays` of a state of the same shape."""
        device = self.mixture.mean.device
        self.network.load_state_dict(below("network.", arrays))
        self.mixture = GaussianMixture(
            *(arrays[f"mixture.{name}"].to(device) for name in ("log_weights", "mean", "variance"))
        )
        self.decoders = {
            name: decoder.with_arrays(below(f"decoder.{name}.", arrays)) for name, decoder in self.decoders.items()
        }
        self.noise = {name: float(arrays[f"noise.{name}"]) for name in self.noise}


@dataclass
class History:
    """History of a training: one row per epoch."""

    rows: list[dict] = field(default_factory=list)

    def add(self, **row: object) -> None:
        """Append an epoch: plain floats and lists only."""
        self.rows.append(row)

    def dataset(self) -> xr.Dataset:
        """Give xarray: elbo, terms (epoch, term), occupancy (epoch, cluster), consistency, learning_rate, seconds."""
        rows = self.rows
        epoch = np.arange(1, len(rows) + 1)
        terms = list(rows[0]["terms"]) if rows else []
        nats = {"units": "nat per specimen"}
        clusters = len(rows[0]["occupancy"]) if rows else 0
        occupancy = np.array([r["occupancy"] for r in rows], dtype=float).reshape(len(rows), clusters)
        values = np.array([[r["terms"][t] for t in terms] for r in rows], dtype=float).reshape(len(rows), len(terms))
        return xr.Dataset(
            {
                "elbo": ("epoch", [r["elbo"] for r in rows], {"long_name": "evidence lower bound", **nats}),
                "terms": (("epoch", "term"), values, nats),
                "consistency": ("epoch", [r["consistency"] for r in rows], nats),
                "occupancy": (("epoch", "cluster"), occupancy, {"long_name": "share of specimens", "units": "1"}),
                "reseeded": ("epoch", [r["reseeded"] for r in rows], {"long_name": "clusters re-seeded"}),
                "learning_rate": ("epoch", [r["learning_rate"] for r in rows]),
                "seconds": ("epoch", [r["seconds"] for r in rows], {"units": "s"}),
            },
            coords={"epoch": epoch, "term": np.array(terms, dtype=str), "cluster": np.arange(clusters)},
        )


def fingerprint(arrays: Mapping[str, np.ndarray | Stored], description: object) -> str:
    """Hash data and options: a checkpoint belongs to exactly one pair of them."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True, default=repr).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}{array.dtype}{array.shape}".encode())
        for piece in [array] if isinstance(array, np.ndarray) else array.blocks():
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def optimiser_arrays(prefix: str, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> Arrays:
    """Collect Adam's moments, by the position of the parameter."""
    return {
        f"optimiser.{prefix}.{k}.{name}": value
        for k, parameter in enumerate(parameters)
        for name, value in optimiser.state.get(parameter, {}).items()
    }


def load_optimiser(
    prefix: str, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], arrays: Mapping[str, Tensor]
) -> None:
    """Put back the moments that :func:`optimiser_arrays` collected."""
    for name, value in arrays.items():
        if name.startswith(f"optimiser.{prefix}."):
            _, _, k, moment = name.split(".")
            parameter = parameters[int(k)]
            # Laid out in memory as the parameter is: the fused Adam pairs the two entry by entry as they lie.
            layout = parameter if value.shape == parameter.shape else value
            kept = torch.empty_like(layout, dtype=value.dtype, device=parameter.device, requires_grad=False)
            optimiser.state[parameter][moment] = kept.copy_(value)


def write_arrays(path: Path, arrays: Arrays, meta: Mapping[str, object]) -> None:
    """Write one safetensors file, whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    save = require("safetensors.torch", "checkpoints").save
    content = save({k: v.detach().cpu().contiguous().clone() for k, v in arrays.items()}, {"pima": json.dumps(meta)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_arrays(path: Path) -> tuple[Arrays, dict]:
    """Read a file of :func:`write_arrays`.

    Raises:
        FileFormatError: If the file is none of ours.
    """
    safetensors = require("safetensors", "checkpoints")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["pima"])
            return {name: file.get_tensor(name) for name in file.keys()}, meta  # noqa: SIM118 - not a mapping
    except (KeyError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise FileFormatError(f"{path} is not a file of pima_toolkit ({error}): expected one that it wrote") from None


#: Field of a checkpoint's notes -> what it is; a checkpoint has those of its kind.
_NOTES: dict[str, tuple[type, str]] = {
    "fingerprint": (str, "a text"),
    "done": (int, "a whole number"),
    "history": (list, "a list"),
    "noise": (dict, "a table"),
    "stopped": (bool, "true or false"),
    "halted": (bool, "true or false"),
}


@contextmanager
def taking_over(path: Path | None) -> Iterator[None]:
    """Say of whatever does not fit in a checkpoint which file it is in, and what to do.

    Args:
        path: The checkpoint whose numbers are taken over in the block.

    Raises:
        FileFormatError: If one is missing, or of another shape.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise FileFormatError(f"{path} is damaged ({lacks}): {_REMOVE}") from None


_REMOVE = "remove it, and the same call goes on from what came before it"


def resume(path: Path, mark: str) -> tuple[Arrays, dict] | None:
    """Read the checkpoint at ``path``; None where there is none.

    Raises:
        FileFormatError: If it is damaged; the message names the field.
        TrainingError: If it belongs to other data or options.
    """
    if not path.exists():
        return None
    arrays, meta = read_arrays(path)
    if not isinstance(meta, dict):
        raise FileFormatError(f"{path} is damaged (its notes are no table): {_REMOVE}")
    for name, (kind, expected) in _NOTES.items():
        if name in meta and type(meta[name]) is not kind:
            raise FileFormatError(f"{path} is damaged ({name} is {str(meta[name])[:60]!r}, not {expected}): {_REMOVE}")
    if meta.get("fingerprint") != mark:
        raise TrainingError(
            f"the checkpoint {path} was made with other data or options: give the same ones to go on, "
            "or another checkpoint folder to start anew"
        )
    return arrays, meta
