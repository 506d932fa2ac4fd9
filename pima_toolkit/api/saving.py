"""Saved fits, one file each: a zip of safetensors, JSON and NetCDF. Reading it executes nothing that it holds."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..answers.conditions import covariate_names
from ..answers.predictor import Predictor, Reference
from ..answers.record import Facts, TrainingRecord
from ..data import Scaling, Schema, open_data, save_data
from ..data.files import replacing
from ..data.limits import check_archive, check_factor, check_limit
from ..errors import FileFormatError, OptionError, PimaError, require
from ..experts import Bounds, expert_from_dict
from ..fitting.evidence.belief import Belief
from ..fitting.evidence.frame import Frame
from ..fitting.evidence.network import blank_network
from ..fitting.inputs.known import KnownTerms
from ..fitting.inputs.spec import InputSpec
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.potentials import single_encoders
from ..fitting.state import State, below
from ..model.mixture import GaussianMixture
from ..model.modality import Modality, Neural, Physics
from ..model.network import Network, build
from ..model.noise.table import NOISE
from ..model.physics import PhysicsDecoder
from ..model.speaker import SpeakingNetwork
from .saved_form import check_about, check_sizes, check_weights, version_of

FORMAT, VERSION = "pima_toolkit fit", 1
#: The name of the file in the folder of a run.
IN_RUN = "fit.pima"
_MODULE = "a torch module of the user"


class _Newer(FileFormatError):
    """A file of a later version than this reads."""


def save(predictor: Predictor, record: TrainingRecord, path: Path) -> Path:
    """Write a fit to one file, see :meth:`pima_toolkit.Fit.save`."""
    write = require("safetensors.torch", "saved fits").save
    options = predictor.options
    arrays = {f"state.{name}": tensor for name, tensor in predictor.state.arrays().items()}
    if predictor.encoders is not None:
        arrays |= {f"encoders.{name}": tensor for name, tensor in predictor.encoders.state_dict().items()}
    for name, covariance in predictor.covariance.items():
        arrays[f"covariance.{name}"] = torch.as_tensor(covariance)
        bounds = predictor.state.decoders[name].bounds
        arrays[f"box.{name}"] = torch.as_tensor(np.stack([bounds.lower, bounds.upper]))
    told = None
    if predictor.belief is not None:
        belief, told = predictor.belief.arrays()
        arrays |= {f"belief.{name}": tensor for name, tensor in belief.items()}
    for name, shares in predictor.calibration.items():
        arrays[f"calibration.{name}"] = torch.as_tensor(shares)
    for k, by_name in enumerate(predictor.by_part.values()):
        arrays |= {f"part.{k}.{name}": torch.as_tensor(shares) for name, shares in by_name.items()}
    for name, reference in predictor.references.items():
        arrays[f"reference.{name}"] = torch.as_tensor(reference.scores)
    for name, covariates in predictor.covariates.items():
        arrays[f"covariates.{name}"] = torch.as_tensor(covariates)
    for name, spec in predictor.specs.items():
        lowest_and_highest = np.array(list(spec.conditions.values())).reshape(-1, 2).T
        arrays[f"template.{name}.conditions"] = torch.as_tensor(lowest_and_highest)
        if spec.schema.t is not None:
            arrays[f"template.{name}.t"] = torch.as_tensor(np.asarray(spec.schema.t, dtype=np.float64))
    about = {
        "format": FORMAT,
        "version": VERSION,
        "modalities": [[name, _modality(option)] for name, option in options.modalities.items()],
        "options": {f.name: getattr(options, f.name) for f in fields(options) if f.name != "modalities"},
        "settings": asdict(record.settings),
        "templates": {name: _spec(spec) for name, spec in predictor.specs.items()},
        "encoders": predictor.encoders is not None,
        "belief": told,
        "parts": [list(part) for part in predictor.by_part],
        "notes": {**record.facts, "quality": dict(record.quality)},
    }
    tables = {f"coords.{name}": xr.Dataset(coords=spec.schema.coords) for name, spec in predictor.specs.items()}
    tables |= {"training": record.specimens, "history": record.history}
    content = write({k: v.detach().cpu().contiguous().clone() for k, v in arrays.items()})
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("about.json", json.dumps(about, indent=1))
        file.writestr("arrays.safetensors", content)
        for name, table in tables.items():
            file.writestr(f"{name}.nc", _to_netcdf(table))
    return path


def load(path: Path, given: ModelOptions | None = None, limits: float = 1.0) -> tuple[Predictor, TrainingRecord]:
    """Read both parts of a saved fit, see :func:`pima_toolkit.load`."""
    read = require("safetensors.torch", "saved fits").load
    check_factor(limits)
    if path.is_dir():
        path = path / IN_RUN
        if not path.is_file():
            raise FileFormatError(
                f"{path.parent} is a folder without {IN_RUN}: expected a folder that `pima fit` wrote, or a file that"
                " Fit.save wrote"
            )
    try:
        with zipfile.ZipFile(path) as file:
            check = partial(check_limit, error=FileFormatError, limits=limits, option="pima.load(path, limits={})")
            check_archive(file, path.stat().st_size, check)
            about = json.loads(file.read("about.json"))
            version = version_of(about, FORMAT)
            if version > VERSION:
                raise _Newer(f"has format version {version}, this pima_toolkit reads up to {VERSION}: update it")
            check_about(about)
            arrays = read(file.read("arrays.safetensors"))
            names = ["training", "history", *(f"coords.{name}" for name in about["templates"])]
            tables = {name: _table(file, name) for name in names}
        return _rebuild(about, arrays, tables, given)
    except _Newer as error:
        raise FileFormatError(f"{path} {error}") from None
    except FileFormatError as error:
        raise FileFormatError(f"{path} {error}: expected a file written by Fit.save, as it was written") from None
    except FileNotFoundError:
        raise FileFormatError(
            f"{path} does not exist: expected a folder that `pima fit` wrote, or a file that Fit.save wrote"
        ) from None
    except PimaError as error:  # an option or an expert of the file
        raise type(error)(f"{path}: {error}") from None
    except Exception as error:  # noqa: BLE001 - what zlib, HDF5 and the tables raise on damaged bytes has no common base
        raise FileFormatError(
            f"{path} is not a saved fit or is damaged ({type(error).__name__}: {str(error)[:300]}): "
            "expected a file written by Fit.save"
        ) from None


def _modality(option: Modality) -> dict:
    if isinstance(option, Physics):
        values = {
            name: getattr(option, name)
            for name in ("scatter", "noise", "window", "vary", "priors", "depends_on", "groups")
        }
        return {"kind": "physics", "expert": option.expert.to_dict(), **values}
    values = {f.name: getattr(option, f.name) for f in fields(option)}
    return {"kind": "neural", **{k: _MODULE if isinstance(v, nn.Module) else v for k, v in values.items()}}


def _read_modality(name: str, saved: dict, given: ModelOptions | None) -> Modality:
    saved = dict(saved)
    kind = saved.pop("kind")
    if kind == "physics":
        window = saved.pop("window")
        expert = expert_from_dict(saved.pop("expert"))
        return Physics(expert, window=None if window is None else tuple(window), **saved)
    if kind != "neural":
        raise FileFormatError(f"the saved modality {name!r} is of the unknown kind {kind!r}")
    for part in ("encoder", "decoder"):
        if saved[part] == _MODULE:
            if given is None or name not in given.neural:
                raise OptionError(
                    f"the {part} of {name!r} was a torch module of your own, which a file cannot hold: "
                    "pass model=PIMA(...) with the same module to load"
                )
            saved[part] = getattr(given.neural[name], part)
    return Neural(**{**saved, "flips": tuple(saved["flips"])})


def _spec(spec: InputSpec) -> dict:
    names = ("name", "kind", "dims", "t_name", "t_unit", "unit", "long_name", "covariate_units", "std", "batch")
    return {
        "measured": {name: getattr(spec.schema, name) for name in names},
        "sizes": spec.schema.sizes,
        "scaling": [spec.scaling.minimum, spec.scaling.maximum],
        "shape": spec.shape,
        "presence": spec.presence,
        "scale": spec.scale,
        "known": None if spec.known is None else {"reference": spec.known.reference, "batches": spec.known.batches},
    }


def _read_spec(name: str, saved: dict, arrays: Mapping[str, Tensor], coords: xr.Dataset, option: Modality) -> InputSpec:
    t = arrays.get(f"template.{name}.t")
    about = {"covariate_units": {}, **saved["measured"]}  # fits of version 0.1.0 have none
    conditions = arrays.get(f"template.{name}.conditions", torch.zeros(2, 0, dtype=torch.float64))
    physics = isinstance(option, Physics)
    schema = Schema(
        **{**about, "dims": tuple(about["dims"])},
        physics=physics,
        sizes=tuple(saved["sizes"]),
        t=None if t is None else t.numpy().copy(),
        coords={str(k): v.reset_coords(drop=True) for k, v in coords.coords.items()},
    )
    return InputSpec(
        schema,
        Scaling(*saved["scaling"]),
        tuple(saved["shape"]),
        saved["presence"],
        saved["scale"],
        {k: (low, high) for k, (low, high) in zip(schema.covariates, conditions.T.tolist(), strict=True)},
        option.window if physics else None,
        option.expert.covariates if physics else (),
        _known(option, saved.get("known")) if physics else None,
    )


def _known(option: Physics, saved: dict | None) -> KnownTerms | None:
    """What parameters depend on, as learned; None where they depend on nothing."""
    if saved is None:
        return None
    return KnownTerms(option.dependence, tuple(saved["reference"]), tuple(saved["batches"]))


def _rebuild(
    about: dict, arrays: Mapping[str, Tensor], tables: Mapping[str, xr.Dataset], given: ModelOptions | None
) -> tuple[Predictor, TrainingRecord]:
    modalities = {name: _read_modality(name, saved, given) for name, saved in about["modalities"]}
    options = ModelOptions(modalities=modalities, **{"inference": "paper", **about["options"]})
    # Where it was trained does not bind where it is read.
    settings = TrainingSettings(**{**about["settings"], "device": "auto"})
    device = settings.torch_device()
    check_sizes(about, options, arrays)
    specs = {
        name: _read_spec(name, saved, arrays, tables[f"coords.{name}"], modalities[name])
        for name, saved in about["templates"].items()
    }
    shapes = {name: spec.shape for name, spec in specs.items()}
    parts = below("state.", arrays)
    mixture = GaussianMixture(*(parts[f"mixture.{n}"].to(device) for n in ("log_weights", "mean", "variance")))
    decoders = {
        name: PhysicsDecoder.from_arrays(
            below(f"decoder.{name}.", parts),
            option.expert,
            Bounds(*arrays[f"box.{name}"].numpy()),
            specs[name].scale,
            option.known,
            NOISE.get(option.noise),
            device,
        )
        for name, option in options.physics.items()
    }
    own = [part for option in options.neural.values() for part in (option.encoder, option.decoder)]
    if not any(isinstance(part, nn.Module) for part in own):
        with torch.device("meta"):  # weights without memory, for their shapes
            check_weights(_blank(options, shapes, decoders, mixture).state_dict(), below("network.", parts))
    network = _blank(options, shapes, decoders, mixture).to(device)
    for name, option in options.physics.items():
        if option.varies != (decoders[name].trend is not None):
            raise ValueError(f"the slope of {name} is there where it should not be, or is missing")
    shapes_found = {"the mixture": mixture.mean.shape, **{n: d.theta.shape for n, d in decoders.items()}}
    for name, found in shapes_found.items():
        width = options.latent_dim if name not in decoders else len(decoders[name].expert.parameters)
        if tuple(found) != (options.clusters, width):
            raise ValueError(f"{name} has shape {tuple(found)}, expected {(options.clusters, width)}")
    state = State(network, mixture, decoders, dict.fromkeys(options.neural, 1.0))
    state.load(parts)
    belief = None
    if about.get("belief") is not None:
        belief = Belief.from_arrays({n: a.to(device) for n, a in below("belief.", arrays).items()}, about["belief"])
    encoders = None
    if about["encoders"]:
        encoders = single_encoders(options, shapes, mixture, 0)
        encoders.load_state_dict(below("encoders.", arrays))
        encoders.eval()
    predictor = Predictor(
        options=options,
        specs=specs,
        state=state,
        encoders=encoders,
        covariance={name: arrays[f"covariance.{name}"].numpy().copy() for name in options.physics},
        covariates={name: arrays[f"covariates.{name}"].numpy().copy() for name in covariate_names(options)},
        references={name: Reference(arrays[f"reference.{name}"].numpy().copy()) for name in modalities},
        calibration={name: arrays[f"calibration.{name}"].numpy().copy() for name in options.physics},
        belief=belief,
        by_part={
            tuple(part): {name: shares.numpy().copy() for name, shares in below(f"part.{k}.", arrays).items()}
            for k, part in enumerate(about.get("parts", []))
        },
    )
    facts = dict(about["notes"])
    quality = facts.pop("quality", {})  # a file older than that knows none
    return predictor, TrainingRecord(settings, tables["training"], tables["history"], cast(Facts, facts), quality)


def _blank(
    options: ModelOptions,
    shapes: Mapping[str, tuple[int, ...]],
    decoders: Mapping[str, PhysicsDecoder],
    mixture: GaussianMixture,
) -> SpeakingNetwork | Network:
    """The network of a fit before it takes over its weights."""
    if options.by_evidence:
        size = Frame(decoders, mixture.log_weights).size
        return blank_network(options, {name: shapes[name] for name in options.neural}, size, 0)
    return build(0, options.modalities, shapes, options.latent_dim, prior_expert=options.prior_expert)


def _to_netcdf(table: xr.Dataset) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return save_data(table, Path(folder) / "table.nc").read_bytes()


def _table(file: zipfile.ZipFile, name: str) -> xr.Dataset:
    """A table of the archive.

    Raises:
        FileFormatError: Naming it, if it is missing or damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.nc"
        try:
            path.write_bytes(file.read(f"{name}.nc"))
            return open_data(path)
        except KeyError:
            raise FileFormatError(f"is damaged, its table {name}.nc is missing") from None
        except FileFormatError as error:
            raise FileFormatError(f"is damaged, its table {str(error).replace(str(path), f'{name}.nc')}") from None
