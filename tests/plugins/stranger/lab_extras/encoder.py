"""A network of one hidden layer."""

import math

from torch import nn

import pima_toolkit as pima


class OneLayer(pima.EncoderKind):
    decodes = True

    def trunk(self, shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 8), nn.Tanh()), 8

    def decoder(self, shape, latent_dim):
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, tuple(shape)))
