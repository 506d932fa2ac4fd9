"""Answers for new specimens from any subset of their modalities, as labelled tables with units.

Source: Trask et al. 2022, arXiv:2202.03242, section 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr

from ..data import ANSWER_NAMES, closest, read, specimen_labels
from ..errors import DataError, OptionError
from ..fitting.inputs.spec import InputSpec, schemas
from ..fitting.inputs.tensors import Tensors, to_tensors
from ..fitting.options import TrainingSettings
from .conditions import check_known
from .curves import curve_answers, parameter_answers
from .posterior import Posterior, answer_tensors
from .predictor import Predictor
from .remarks import check_coverage, remarks, typicality, unanswered

#: A specimen less typical than this is flagged; of specimens like the training ones about one in a thousand is.
OUT_OF_POPULATION = 1e-3
_CHUNK = 1024
_SAMPLES = 8


def infer(
    predictor: Predictor,
    data: xr.Dataset,
    *,
    predict: Sequence[str] | str | None = None,
    seed: int = 0,
    coverage: float = 0.9,
    typical: bool = True,
    precision: str = "float32",
) -> xr.Dataset:
    """Answer for specimens, see :meth:`pima_toolkit.Fit.infer`."""
    out = expected(predictor, data, predict=predict, seed=seed, coverage=coverage, typical=typical, precision=precision)
    return unanswered(out, predictor.options.modalities)


def expected(
    predictor: Predictor,
    data: xr.Dataset,
    *,
    predict: Sequence[str] | str | None = None,
    seed: int = 0,
    coverage: float = 0.9,
    typical: bool = True,
    precision: str = "float32",
) -> xr.Dataset:
    """Answer as :func:`infer` does; where nothing was measured of a specimen, by what the populations alone predict."""
    names = list(predictor.options.modalities)
    wanted = names if predict is None else [predict] if isinstance(predict, str) else list(predict)
    for name in wanted:
        if name not in names:
            raise OptionError(f"predict names {name!r}, which is no modality of this fit: {closest(name, names)}")
    check_coverage(coverage)
    tensors = read_new(predictor, data)
    device = predictor.device
    faster = TrainingSettings(precision=precision).autocast(device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=faster)
    answers = answer_tensors(predictor, tensors, scored=typical, autocast=autocast)
    out = _table(predictor, data, tensors, answers)
    for name in wanted:
        if name in predictor.options.physics:
            check_known(predictor, name, tensors.curves[name], specimen_labels(data))
            out = out.assign(predict_curves(predictor, name, tensors, answers, coverage))
        else:
            out = out.assign(predict_neural(predictor, name, answers, seed))
    if any(name in predictor.options.physics for name in wanted):
        out = out.assign(parameter_answers(predictor, tensors, answers.log_gamma.exp(), answers.others))
    return out


def read_new(predictor: Predictor, data: xr.Dataset) -> Tensors:
    """Check new specimens, and put what was measured of them on the fit's device.

    Raises:
        DataError: If they have none of the fit's modalities, or hold what cannot be used.
        ShapeError: If dims or sizes are not those of the training.
    """
    measurements = read(data, schemas(predictor.specs))
    if not any(name in data.data_vars for name in measurements):
        raise DataError(
            f"the dataset holds none of this fit's modalities ({', '.join(measurements)}): it has"
            f" {list(data.data_vars)}"
        )
    return to_tensors(measurements, predictor.specs, predictor.device)


def _table(predictor: Predictor, data: xr.Dataset, tensors: Tensors, answers: Posterior) -> xr.Dataset:
    """Table of what each specimen is: responsibilities, cluster, latent posterior, typicality and remarks."""
    names = list(predictor.options.modalities)
    gamma = answers.log_gamma.exp()
    weight = gamma[..., None]
    mean = (weight * answers.latent.mean).sum(1)
    variance = (weight * (answers.latent.variance + answers.latent.mean.square())).sum(1) - mean.square()
    outside = np.stack([tensors.outside[name] for name in names], 1)
    seen = torch.stack([tensors.present[name] for name in names]).sum(0).cpu().numpy()
    strange, unlike = np.zeros(len(seen), dtype=bool), {}
    if answers.scores:
        typical, seen = typicality(predictor, answers.scores)
        strange = typical < OUT_OF_POPULATION
        about = {"long_name": "share of training specimens explained no better", "units": "1"}
        unlike = {
            "typicality": ("specimen", typical, about),
            "out_of_population": ("specimen", strange, {"long_name": "unlike every population"}),
        }
    out = xr.Dataset(
        {
            "responsibilities": (
                ("specimen", "cluster"),
                gamma.cpu().numpy(),
                {"long_name": "probability of the population", "units": "1"},
            ),
            "cluster": ("specimen", gamma.argmax(1).cpu().numpy(), {"long_name": "most probable population"}),
            "posterior_mean": (("specimen", "latent"), mean.cpu().numpy(), {"units": "1"}),
            "posterior_variance": (("specimen", "latent"), variance.cpu().numpy(), {"units": "1"}),
            **unlike,
            "outside_range": (("specimen", "modality"), outside, {"long_name": "values beyond the training range"}),
            "remark": (
                "specimen",
                remarks(seen, strange, np.any(outside, axis=1), _told(tensors)),
                {"long_name": "what to know of the answer"},
            ),
        },
        coords={"modality": names},
    )
    return out.assign_coords(specimen_coords(predictor.specs, data))


def _told(tensors: Tensors) -> np.ndarray:
    """Which specimens' covariates say something of their parameters, (specimen,), bool."""
    out = np.zeros(len(tensors), dtype=bool)
    for curves in tensors.curves.values():
        if curves.terms is not None and curves.terms.shape[1]:
            out |= np.isfinite(curves.terms).all(1)
    return out


def specimen_coords(specs: Mapping[str, InputSpec], data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Coordinates that say which specimens these are, without those along a modality's own dims."""
    own = {dim for spec in specs.values() for dim in spec.schema.dims}
    kept = {str(k): v for k, v in data.coords.items() if "specimen" in v.dims and not own & set(v.dims)}
    # A coordinate of an answer's own name, such as an older fit's ``cluster``, must not take the answer's place.
    return {f"given_{k}" if k in ANSWER_NAMES - {"specimen"} else k: v for k, v in kept.items()}


def modality_array(predictor: Predictor, name: str, values: np.ndarray, *leading: str) -> xr.DataArray:
    """Values of a modality as a labelled array with units; the leading dims are named, the others its own."""
    spec = predictor.specs[name]
    schema = spec.schema
    attrs = {"units": schema.unit, "long_name": schema.long_name}
    if schema.kind == "curve" and name in predictor.options.physics:
        label = {"units": schema.t_unit, "long_name": schema.t_name}
        dim = schema.t_name if schema.t_name not in schema.coords else schema.dims[0]
        t = xr.DataArray(spec.t, dims=dim, attrs=label)
        return xr.DataArray(values, dims=(*leading, dim), coords={schema.t_name: t}, attrs=attrs)
    # A channel axis that the data do not name is dropped, a scalar's feature axis too.
    shape = values.shape[: len(leading)] + schema.sizes
    return xr.DataArray(values.reshape(shape), dims=(*leading, *schema.dims), coords=schema.coords, attrs=attrs)


def predict_curves(
    predictor: Predictor, name: str, tensors: Tensors, answers: Posterior, coverage: float
) -> dict[str, xr.DataArray]:
    """Curve and pointwise band of a physics modality, denoised where observed, else predicted; the second population's.

    That curve and its probability are NaN but where the prediction has two humps.
    """
    covariates = predictor.options.physics[name].expert.covariates
    out = {}
    curves = curve_answers(predictor, name, tensors, answers.log_gamma.exp(), answers.others.get(name), coverage)
    about = {"units": "1", "long_name": "probability of the second population, where its curve is another"}
    out[f"{name}_second_probability"] = xr.DataArray(curves.pop("_second_probability"), dims="specimen", attrs=about)
    for suffix, values in curves.items():
        out[name + suffix] = modality_array(predictor, name, values, "specimen")
        if covariates:
            out[name + suffix].attrs["at"] = f"{', '.join(covariates)} of each specimen"
    for suffix, tail in (("_low", 0.5 * (1.0 - coverage)), ("_high", 0.5 * (1.0 + coverage))):
        out[name + suffix].attrs["long_name"] += f", {100 * tail:g} % quantile of a new measurement"
    out[name + "_second"].attrs["long_name"] += ", median of the second population, where it is another"
    order = ("", "_low", "_high", "_second", "_second_probability")
    return {name + suffix: out[name + suffix] for suffix in order}


@torch.no_grad()
def predict_neural(predictor: Predictor, name: str, answers: Posterior, seed: int) -> dict[str, xr.DataArray]:
    """Mean of a neural modality over samples of (c, Z).

    All specimens share the random numbers, so the answer does not depend on their order or number; c is drawn by its
    quantiles, which leaves less noise than chance would.
    """
    device = answers.log_gamma.device
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(_SAMPLES, predictor.options.latent_dim, generator=generator, dtype=torch.float64).to(device)
    cumulative = answers.log_gamma.exp().cumsum(1)
    network = predictor.state.network.eval()
    total = torch.zeros((), device=device)
    for k in range(_SAMPLES):
        share = torch.full_like(cumulative[:, :1], (k + 0.5) / _SAMPLES)
        cluster = torch.searchsorted(cumulative, share).squeeze(1).clamp_max(predictor.options.clusters - 1)
        chosen = answers.latent[torch.arange(len(cluster), device=device), cluster]
        z = chosen.sample(noise[k]).float()
        decoded = torch.cat([network.decode(name, z[i : i + _CHUNK]) for i in range(0, len(z), _CHUNK)])
        total = total + decoded / _SAMPLES
    values = predictor.specs[name].scaling.from_unit(total.cpu().numpy())
    return {name: modality_array(predictor, name, values, "specimen")}
