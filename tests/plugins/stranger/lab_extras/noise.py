"""Noise that grows along the curve."""

import numpy as np
import torch

import pima_toolkit as pima


class Growing(pima.NoiseModel):
    """Standard deviation in proportion to 1 + t: a load cell that drifts."""

    white = False

    def shape(self, t):
        return torch.as_tensor(1.0 + np.abs(t))

    def whiten(self, values, t):
        return values / self.shape(t).to(values)

    def log_det(self, t, seen):
        return (2.0 * self.shape(t).log() * seen).sum(-1)

    def update(self, old, squared, points, alive):
        return torch.where(alive, squared / points.clamp_min(1e-300), old).clamp_min(1e-8)
