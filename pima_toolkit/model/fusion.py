r"""The multimodal posterior: a product of experts over the modalities a specimen has.

.. math:: \mathrm{precision} = \sum_i \frac{m_i}{\mathrm{variance}_i}, \qquad
          \mathrm{mean} = \frac{1}{\mathrm{precision}} \sum_i \frac{m_i\,\mathrm{mean}_i}{\mathrm{variance}_i}

with the presence m_i in {0, 1}. Source: Trask et al. 2022, eqs. (5)-(8); the factor q(Z)^(1-D) of eq. (5) is dropped,
as in eq. (6).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .gaussian import DiagonalGaussian


def fuse(
    embeddings: Mapping[str, DiagonalGaussian], present: Mapping[str, Tensor], *, prior_expert: bool = False
) -> DiagonalGaussian:
    """Multiply the unimodal embeddings of each specimen.

    Args:
        embeddings: q(Z given X_i) by modality, each of shape (specimen, latent).
        present: Presence by modality, bool of shape (specimen,).
        prior_expert: Also multiply by N(0, I).

    Returns:
        The posterior, shape (specimen, latent). A specimen with no modality at all, and no prior expert, has
        infinite variance: check presence first.

    Source: Trask et al. 2022, eqs. (6)-(8).
    """
    first = next(iter(embeddings.values())).mean
    precision = torch.ones_like(first) if prior_expert else torch.zeros_like(first)
    weighted = torch.zeros_like(first)
    for name, embedding in embeddings.items():
        share = present[name].to(first.dtype)[:, None] / embedding.variance
        precision = precision + share
        weighted = weighted + share * embedding.mean
    return DiagonalGaussian(weighted / precision, 1.0 / precision)


def drop_modalities(present: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Leave half of the specimens one modality of those they have, drawn evenly: so encoders learn to stand alone.

    Args:
        present: Presence by modality, bool of shape (specimen,).
        generator: Generator on the device of the presence.

    Returns:
        Presence likewise; every specimen that had a modality keeps one.
    """
    flags = torch.stack(list(present.values()), 1)
    drawn = torch.rand(flags.shape, generator=generator, device=flags.device).masked_fill(~flags, -1.0)
    alone = torch.zeros_like(flags).scatter_(1, drawn.argmax(1, keepdim=True), True) & flags
    half = torch.rand(len(flags), 1, generator=generator, device=flags.device) < 0.5
    return dict(zip(present, torch.where(half, alone, flags).unbind(1), strict=True))
