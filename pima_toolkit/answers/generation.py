"""New specimens of a population, and walks through the latent space."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from ..errors import DataError, OptionError, ShapeError
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import log_responsibilities
from .conditions import At, check_at, covariate_coords, known_offset, population_grid, position_grid, shown_at
from .curves import predictions
from .inference import modality_array
from .predictor import Predictor
from .remarks import check_coverage


def _check_cluster(predictor: Predictor, cluster: int) -> int:
    """Refuse a cluster that there is not, with an OptionError."""
    clusters = predictor.options.clusters
    if isinstance(cluster, bool) or not isinstance(cluster, int | np.integer) or not 0 <= cluster < clusters:
        raise OptionError(f"cluster={cluster!r}: this fit has the clusters 0 to {clusters - 1}")
    return int(cluster)


@torch.no_grad()
def _decode(predictor: Predictor, name: str, z: torch.Tensor) -> np.ndarray:
    """Values of a neural modality at latent positions (n, latent), in its unit, (n, ...)."""
    network = predictor.state.network.eval()
    pieces = [network.decode(name, z[i : i + 1024].float()) for i in range(0, len(z), 1024)]
    return predictor.specs[name].scaling.from_unit(torch.cat(pieces).cpu().numpy())


def generate(predictor: Predictor, cluster: int, n: int = 16, seed: int = 0, at: At = None) -> xr.Dataset:
    """Draw new specimens of a population, see :meth:`pima_toolkit.Fit.generate`."""
    cluster = _check_cluster(predictor, cluster)
    check_at(predictor.options, at)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(f"n={n!r}: expected a whole number of at least 1")
    rng = np.random.default_rng(seed)
    mixture = predictor.state.mixture
    noise = torch.as_tensor(rng.standard_normal((n, predictor.options.latent_dim)), device=mixture.mean.device)
    z = mixture.components[cluster].sample(noise)
    out = xr.Dataset(
        {"latent_position": (("specimen", "latent"), z.cpu().numpy())},
        coords={"specimen": np.arange(n)},
        attrs={"title": f"generated specimens of cluster {cluster}"},
    )
    out = out.assign_coords(covariate_coords(predictor, n, cluster, at))
    for name in predictor.options.modalities:
        if name in predictor.options.neural:
            values = _decode(predictor, name, z)
        else:
            decoder = predictor.state.decoders[name]
            spread = decoder.scatter[cluster].cpu().numpy()
            own = rng.multivariate_normal(np.zeros(len(spread)), spread, size=n, method="eigh")
            if decoder.trend is not None:
                own += decoder.trend.deviation(DiagonalGaussian(z, torch.zeros_like(z)))[0][cluster].cpu().numpy()
            known, offset = decoder.known, known_offset(predictor, name, at)
            if known is not None and known.batch_scatter.any():
                own += np.sqrt(known.batch_scatter) * rng.standard_normal(own.shape)  # each of a batch of its own
            own += 0.0 if offset is None else offset.cpu().numpy()
            # A parameter at its bound does not scatter.
            own[:, decoder.bounds.at_bound(decoder.theta[cluster])] = 0.0
            theta = decoder.bounds.from_unbounded(decoder.bounds.to_unbounded(decoder.theta[cluster]) + own)
            values, _ = decoder.expert.value_and_jacobian(population_grid(predictor, name, cluster, at), theta)
        out[name] = modality_array(predictor, name, values, "specimen").assign_attrs(
            shown_at(predictor, name, cluster, at)
        )
    return out


def decode(predictor: Predictor, position: ArrayLike, at: At, coverage: float) -> xr.Dataset:
    """Compute every modality at latent positions, see :meth:`pima_toolkit.Fit.decode`."""
    check_at(predictor.options, at)
    check_coverage(coverage)
    latent = predictor.options.latent_dim
    try:
        places = np.asarray(position, dtype=np.float64)
    except (TypeError, ValueError):
        raise ShapeError(f"positions are numbers of shape (n, {latent}), got {type(position).__name__}") from None
    if places.ndim != 2 or places.shape[1] != latent or len(places) == 0:
        raise ShapeError(f"positions have shape {places.shape}, expected (n, {latent}): n points of this fit's latent")
    if not np.isfinite(places).all():
        raise DataError("positions hold NaN or infinite values, expected finite numbers")
    return _decoded(predictor, torch.as_tensor(places, device=predictor.device), at, coverage)


@torch.no_grad()
def _decoded(predictor: Predictor, z: torch.Tensor, at: At, coverage: float) -> xr.Dataset:
    """Every modality at latent positions (n, latent), float64."""
    mixture = predictor.state.mixture
    gamma = log_responsibilities(mixture, mixture.log_prob(z)).exp()
    out = xr.Dataset(
        {
            "latent_position": (("specimen", "latent"), z.cpu().numpy(), {"units": "1"}),
            "responsibilities": (("specimen", "cluster"), gamma.cpu().numpy(), {"units": "1"}),
        },
        coords={"specimen": np.arange(len(z))},
    )
    for name in predictor.options.modalities:
        if name in predictor.options.neural:
            out[name] = modality_array(predictor, name, _decode(predictor, name, z), "specimen")
            continue
        grid = position_grid(predictor, name, gamma.cpu().numpy(), at)
        places, offset = DiagonalGaussian(z, torch.zeros_like(z)), known_offset(predictor, name, at)
        curves = _curves(predictor, name, grid, places, gamma, coverage, offset)
        out = out.assign({name + k: modality_array(predictor, name, v, "specimen") for k, v in curves.items()})
    return out


def traverse(predictor: Predictor, cluster: int, std: float = 3.0, steps: int = 7, at: At = None) -> xr.Dataset:
    """Compute every modality along each latent axis, see :meth:`pima_toolkit.Fit.traverse`."""
    cluster = _check_cluster(predictor, cluster)
    check_at(predictor.options, at)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise OptionError(f"steps={steps!r}: expected a whole number of at least 2")
    mixture = predictor.state.mixture
    latent = predictor.options.latent_dim
    offsets = torch.linspace(-std, std, steps, dtype=torch.float64, device=mixture.mean.device)
    axes = torch.eye(latent, dtype=torch.float64, device=mixture.mean.device)
    away = offsets[None, :, None] * axes[:, None, :] * mixture.variance[cluster].sqrt()
    conditions = {name: float(means[cluster]) for name, means in predictor.covariates.items()} | dict(at or {})
    flat = _decoded(predictor, (mixture.mean[cluster] + away).flatten(0, 1), conditions, 0.9)
    out = xr.Dataset(
        coords={"step": ("step", offsets.cpu().numpy(), {"long_name": "standard deviations from the centre"})},
        attrs={"title": f"from the centre of cluster {cluster} along each latent axis"},
    )
    for name, values in flat.drop_vars("latent_position").data_vars.items():
        own = {k: v for k, v in values.coords.items() if "specimen" not in v.dims}
        folded = values.values.reshape(latent, steps, *values.shape[1:])
        out[name] = xr.DataArray(folded, dims=("latent", "step", *values.dims[1:]), coords=own, attrs=values.attrs)
    for name in predictor.options.physics:
        out[name] = out[name].assign_attrs(shown_at(predictor, name, cluster, at))
    return out


@torch.no_grad()
def clusters(predictor: Predictor, coverage: float = 0.9) -> xr.Dataset:
    """Describe the populations, see :attr:`pima_toolkit.Fit.clusters`."""
    mixture: DiagonalGaussian = predictor.state.mixture.components
    count = predictor.options.clusters
    out = xr.Dataset(
        {
            "weight": ("cluster", predictor.state.mixture.log_weights.exp().cpu().numpy(), {"units": "1"}),
            "mean": (("cluster", "latent"), mixture.mean.cpu().numpy(), {"units": "1"}),
            "variance": (("cluster", "latent"), mixture.variance.cpu().numpy(), {"units": "1"}),
        },
        coords={"cluster": np.arange(count)},
    )
    own = torch.eye(count, dtype=torch.float64, device=mixture.mean.device)
    for name in predictor.options.modalities:
        if name in predictor.options.neural:
            out[name] = modality_array(predictor, name, _decode(predictor, name, mixture.mean), "cluster")
            continue
        curves = _curves(predictor, name, population_grid(predictor, name), None, own, coverage)
        for suffix, values in curves.items():
            values = modality_array(predictor, name, values, "cluster")
            out[name + suffix] = values.assign_attrs(shown_at(predictor, name))
    return out


def _curves(
    predictor: Predictor,
    name: str,
    t: np.ndarray,
    latent: DiagonalGaussian | None,
    weights: torch.Tensor,
    coverage: float,
    offset: torch.Tensor | None = None,
) -> dict[str, np.ndarray]:
    """Curves of a physics modality and their bands, (n, point) in its unit, by what follows its name.

    Args:
        predictor: The fit.
        name: The modality.
        t: Grid (point,), or one per row.
        latent: Z of each row; None: the whole population's.
        weights: Responsibilities, (n, cluster).
        coverage: Share of new measurements that the bands hold.
        offset: How far specimens are off the populations by what is known of them, (1, P).
    """
    decoder, nominal = predictor.state.decoders[name], predictor.nominal(name, coverage)
    pieces: list[list[torch.Tensor]] = []
    for rows, said in predictions(decoder, t, latent, weights, offset=offset):
        bands = [said.quantile(weights[rows], 0.5 * (1.0 + side * nominal)) for side in (-1.0, 1.0)]
        pieces.append([said.centre(weights[rows]), *bands])
    suffixes = ("", "_low", "_high")
    return {key: torch.cat([p[k] for p in pieces]).cpu().numpy() * decoder.scale for k, key in enumerate(suffixes)}
