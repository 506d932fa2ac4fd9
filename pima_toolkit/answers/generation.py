"""New specimens of a population, and walks through the latent space."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from ..errors import OptionError
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import log_responsibilities
from .bands import mixture_quantile
from .conditions import At, check_at, covariate_coords, own_cluster, population_grid, shown_at
from .inference import modality_array
from .trained import Trained


def _check_cluster(trained: Trained, cluster: int) -> int:
    clusters = trained.options.clusters
    if isinstance(cluster, bool) or not isinstance(cluster, int | np.integer) or not 0 <= cluster < clusters:
        raise OptionError(f"cluster={cluster!r}: this fit has the clusters 0 to {clusters - 1}")
    return int(cluster)


@torch.no_grad()
def _decode(trained: Trained, name: str, z: torch.Tensor) -> np.ndarray:
    network = trained.state.network.eval()
    pieces = [network.decode(name, z[i : i + 1024].float()) for i in range(0, len(z), 1024)]
    return trained.templates[name].scaling.from_unit(torch.cat(pieces).cpu().numpy())


def generate(trained: Trained, cluster: int, n: int = 16, seed: int = 0, at: At = None) -> xr.Dataset:
    """See :meth:`pima_toolkit.Fit.generate`."""
    cluster = _check_cluster(trained, cluster)
    check_at(trained.options, at)
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(f"n={n!r}: expected a whole number of at least 1")
    rng = np.random.default_rng(seed)
    mixture = trained.state.mixture
    noise = torch.as_tensor(rng.standard_normal((n, trained.options.latent_dim)), device=mixture.mean.device)
    z = mixture.components[cluster].sample(noise)
    out = xr.Dataset(
        {"latent_position": (("specimen", "latent"), z.cpu().numpy())},
        coords={"specimen": np.arange(n)},
        attrs={"title": f"generated specimens of cluster {cluster}"},
    )
    out = out.assign_coords(covariate_coords(trained, n, cluster, at))
    for name in trained.options.modalities:
        if name in trained.options.neural:
            values = _decode(trained, name, z)
        else:
            decoder = trained.state.decoders[name]
            spread = decoder.scatter[cluster].cpu().numpy()
            own = rng.multivariate_normal(np.zeros(len(spread)), spread, size=n, method="eigh")
            if decoder.trend is not None:
                own += decoder.trend.deviation(DiagonalGaussian(z, torch.zeros_like(z)))[0][cluster].cpu().numpy()
            # A parameter at its bound does not scatter.
            own[:, decoder.box.at_bound(decoder.theta[cluster])] = 0.0
            theta = decoder.box.from_unbounded(decoder.box.to_unbounded(decoder.theta[cluster]) + own)
            values, _ = decoder.expert.value_and_jacobian(population_grid(trained, name, cluster, at), theta)
        out[name] = modality_array(trained, name, values, "specimen").assign_attrs(shown_at(trained, name, cluster, at))
    return out


@torch.no_grad()
def traverse(trained: Trained, cluster: int, std: float = 3.0, steps: int = 7, at: At = None) -> xr.Dataset:
    """See :meth:`pima_toolkit.Fit.traverse`."""
    cluster = _check_cluster(trained, cluster)
    check_at(trained.options, at)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise OptionError(f"steps={steps!r}: expected a whole number of at least 2")
    mixture = trained.state.mixture
    latent = trained.options.latent_dim
    offsets = torch.linspace(-std, std, steps, dtype=torch.float64, device=mixture.mean.device)
    axes = torch.eye(latent, dtype=torch.float64, device=mixture.mean.device)
    away = offsets[None, :, None] * axes[:, None, :] * mixture.variance[cluster].sqrt()
    z = (mixture.mean[cluster] + away).flatten(0, 1)
    gamma = log_responsibilities(mixture, mixture.log_prob(z)).exp()
    out = xr.Dataset(
        {"responsibilities": (("latent", "step", "cluster"), gamma.unflatten(0, (latent, steps)).cpu().numpy())},
        coords={"step": ("step", offsets.cpu().numpy(), {"long_name": "standard deviations from the centre"})},
        attrs={"title": f"from the centre of cluster {cluster} along each latent axis"},
    )
    for name in trained.options.modalities:
        if name in trained.options.neural:
            values = _decode(trained, name, z)
        else:
            decoder = trained.state.decoders[name]
            prior = None if decoder.trend is None else decoder.prior(DiagonalGaussian(z, torch.zeros_like(z)))
            curves, _ = decoder.marginal(population_grid(trained, name, cluster, at), prior)
            values = torch.einsum("nc,cnt->nt", gamma, curves.expand(-1, len(z), -1)).cpu().numpy() * decoder.scale
        values = modality_array(trained, name, values.reshape(latent, steps, *values.shape[1:]), "latent", "step")
        out[name] = values.assign_attrs(shown_at(trained, name, cluster, at))
    return out


@torch.no_grad()
def clusters(trained: Trained, coverage: float = 0.9) -> xr.Dataset:
    """See :attr:`pima_toolkit.Fit.clusters`."""
    mixture: DiagonalGaussian = trained.state.mixture.components
    count = trained.options.clusters
    out = xr.Dataset(
        {
            "weight": ("cluster", trained.state.mixture.log_weights.exp().cpu().numpy(), {"units": "1"}),
            "mean": (("cluster", "latent"), mixture.mean.cpu().numpy(), {"units": "1"}),
            "variance": (("cluster", "latent"), mixture.variance.cpu().numpy(), {"units": "1"}),
        },
        coords={"cluster": np.arange(count)},
    )
    own = torch.eye(count, dtype=torch.float64, device=mixture.mean.device)
    for name in trained.options.modalities:
        if name in trained.options.neural:
            out[name] = modality_array(trained, name, _decode(trained, name, mixture.mean), "cluster")
            continue
        decoder = trained.state.decoders[name]
        mean, variance = (own_cluster(part) for part in decoder.marginal(population_grid(trained, name)))
        curves = {"": mean.squeeze(1)}
        nominal = trained.nominal(name, coverage)
        curves["_low"] = mixture_quantile(own, mean, variance, 0.5 * (1.0 - nominal))
        curves["_high"] = mixture_quantile(own, mean, variance, 0.5 * (1.0 + nominal))
        for suffix, values in curves.items():
            values = modality_array(trained, name, values.cpu().numpy() * decoder.scale, "cluster")
            out[name + suffix] = values.assign_attrs(shown_at(trained, name))
    return out
