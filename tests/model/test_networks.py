"""Shapes, presets and modules of one's own; augmentation."""

import math

import pytest
import torch
from torch import nn

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.model.augment import augment, mirrored
from pima_toolkit.model.encoders.base import EncoderKind
from pima_toolkit.model.encoders.decoders import decoder
from pima_toolkit.model.encoders.encoders import ClusterEncoder, Encoder, averaged
from pima_toolkit.model.encoders.table import ENCODERS
from pima_toolkit.model.network import build
from pima_toolkit.plugins.manager import Manager, use_manager

SHAPES = [(5,), (1,), (1, 20), (2, 33), (1, 8, 8), (3, 13, 10), (1, 8, 8, 8), (2, 5, 7, 6), (1, 38, 38), (1, 152, 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["conv", "pooled", "paper"])
def test_every_shape_goes_in_and_comes_out(shape, kind):
    x = torch.rand(3, *shape)
    embedding = Encoder(shape, 2, kind)(x)
    assert embedding.mean.shape == embedding.variance.shape == (3, 2)
    assert (embedding.variance > 0).all()
    assert decoder(shape, 2, "conv" if kind == "pooled" else kind)(embedding.mean).shape == x.shape


class Flat(EncoderKind):
    """A stranger's: one linear layer each way."""

    decodes = True

    def trunk(self, shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 6)), 6

    def decoder(self, shape, latent_dim):
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, tuple(shape)))


#: One line for each kind of network: what it is, and a plugin's.
ENCODER_CASES = {**ENCODERS.all(), "a stranger's": Flat()}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ENCODER_CASES)
def test_kinds_of_networks_have_the_shapes_they_say_and_learn_everywhere(name, shape):
    kind = ENCODER_CASES[name]
    network, features = kind.trunk(shape)
    x = torch.rand(3, *shape)
    parts = [network] if not kind.decodes else [network, kind.decoder(shape, 2)]
    out = network(x)
    assert out.shape == (3, features)
    # A sum would do for linear layers; behind a batch norm it is always the same.
    loss = out.square().sum() + out.sum()
    if kind.decodes:
        decoded = parts[1](torch.rand(3, 2))
        assert decoded.shape == x.shape
        loss = loss + decoded.square().sum()
    loss.backward()
    gradients = [parameter.grad for part in parts for parameter in part.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


PLUGIN = """
import math
from torch import nn
import pima_toolkit as pima

class Flat(pima.EncoderKind):
    decodes = True
    def trunk(self, shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 6)), 6
    def decoder(self, shape, latent_dim):
        return nn.Sequential(nn.Linear(latent_dim, math.prod(shape)), nn.Unflatten(1, tuple(shape)))

@pima.hookimpl
def pima_encoders():
    return {"flat": Flat()}
"""


def test_a_stranger_s_networks_are_chosen_by_their_name(tmp_path):
    (tmp_path / "lab.py").write_text(PLUGIN)
    with use_manager(Manager()):
        pima.load_plugin(tmp_path / "lab.py")
        option = pima.Neural(encoder="flat", decoder="flat")
        network = build(0, {"image": option}, {"image": (1, 8, 8)}, 2)
        with pytest.raises(OptionError, match=r"decoder='cnn' is unknown: use one of 'conv', 'paper', 'flat'"):
            pima.Neural(decoder="cnn")
    assert isinstance(network.encoders[0].trunk[1], nn.Linear)
    assert network.decode("image", torch.zeros(3, 2)).shape == (3, 1, 8, 8)
    with pytest.raises(OptionError, match=r"is no encoder: expected an instance of a subclass"):
        ENCODERS.kind.check(Flat)


def test_a_pooled_encoder_sees_what_is_there_and_not_where():
    """A blob moved by the stride of all stages together, far from the edges, embeds the same; unless by "conv"."""
    pictures = torch.zeros(2, 1, 96, 96)
    blob = 20.0 * torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    pictures[0, 0, 32:40, 32:40], pictures[1, 0, 48:56, 48:56] = blob, blob
    moved = {}
    for kind in ("pooled", "conv"):
        torch.manual_seed(0)
        mean = Encoder((1, 96, 96), 2, kind).eval()(pictures).mean
        moved[kind] = (mean[0] - mean[1]).abs().max().item()
    assert moved["pooled"] < 1e-2 * moved["conv"]


def test_paper_preset_is_that_of_appendix_a():
    kernels = [m for m in Encoder((1, 28, 28), 3, "paper").modules() if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size) for m in kernels] == [(32, (3, 3)), (64, (3, 3))]
    kernels = [m for m in Encoder((1, 20), 3, "paper").modules() if isinstance(m, nn.Conv1d)]
    assert [(m.out_channels, m.kernel_size) for m in kernels] == [(8, (3,)), (16, (3,))]
    network = decoder((1, 28, 28), 3, "paper")
    transposed = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert network[0].out_features == 32 * 7 * 7
    assert [(m.out_channels, m.stride) for m in transposed] == [(64, (2, 2)), (32, (2, 2)), (1, (1, 1))]
    assert sum(isinstance(m, nn.ReLU) for m in network.modules()) == 2
    linear = [m for m in Encoder((1, 28, 28), 3, "paper").modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in linear] == [6]


def test_variances_stay_positive_and_finite_for_wild_inputs():
    encoder = Encoder((1, 8, 8), 2).eval()
    embedding = encoder(1e12 * torch.randn(4, 1, 8, 8))
    assert torch.isfinite(embedding.mean).all()
    assert ((embedding.variance > 4e-5) & (embedding.variance < 404)).all()


def test_own_modules_are_copied_and_used():
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    out = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
    network = build(0, {"image": pima.Neural(encoder=own, decoder=out)}, {"image": (1, 8, 8)}, 2)
    before = own[1].weight.clone()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(own[1].weight, before)
    x = torch.rand(3, 1, 8, 8)
    everyone = {"image": torch.ones(3, dtype=torch.bool)}
    assert network.posterior({"image": x}, everyone).mean.shape == (3, 2)
    assert network.decode("image", torch.zeros(3, 2)).shape == x.shape


def test_an_own_encoder_that_returns_a_picture_is_told_to_flatten():
    with pytest.raises(OptionError, match=r"returned \(2, 4, 8, 8\).*nn.Flatten\(\)"):
        Encoder((1, 8, 8), 2, nn.Conv2d(1, 4, 3, padding=1))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pima.Neural(encoder="cnn"), r"encoder='cnn' is unknown: use one of 'conv', 'pooled', 'paper'"),
        (lambda: pima.Neural(decoder="cnn"), r"decoder='cnn'"),
        (lambda: pima.Neural(noise="lerned"), r"noise='lerned' is unknown: use one of 'unit', 'learned'"),
        (lambda: pima.Neural(shift=0.7), r"shift=0.7.*0 <= shift < 0.5"),
        (lambda: pima.Physics("affine", scatter="specimens"), r"scatter='specimens'.*'specimen', 'none'"),
        (lambda: pima.Physics("affine", noise="cluser"), r"noise='cluser'.*'pooled', 'cluster', 'unit'"),
        (lambda: pima.Physics("affine", window=(0.5, 0.1)), r"window=\(0.5, 0.1\).*lower < upper"),
    ],
)
def test_misspelt_options_of_a_modality(make, words):
    with pytest.raises(OptionError, match=words):
        make()


def test_an_unknown_expert_names_the_closest():
    with pytest.raises(ExpertError, match=r"afine.*'affine'"):
        pima.Physics("afine")


def test_initial_weights_come_from_the_seed_and_leave_the_global_state():
    before = torch.random.get_rng_state()
    make = lambda seed: build(seed, {"image": pima.Neural()}, {"image": (1, 8, 8)}, 2).state_dict()  # noqa: E731
    one, again, other = make(5), make(5), make(6)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_names_of_modalities_may_hold_dots_and_spaces():
    network = build(0, {"a.b c": pima.Neural()}, {"a.b c": (4,)}, 2)
    assert network.decode("a.b c", torch.zeros(2, 2)).shape == (2, 4)


def test_cluster_encoder_starts_from_the_clusters():
    mean, variance = torch.tensor([[0.0, 1.0], [5.0, -3.0]]), torch.tensor([[0.5, 1.0], [2.0, 1.5]])
    encoder = ClusterEncoder((4,), mean, variance).eval()
    with torch.no_grad():
        encoder.head.weight.zero_()
        encoder.head.bias.zero_()
    log_gamma, embedding = encoder(torch.rand(3, 4))
    torch.testing.assert_close(log_gamma.exp(), torch.full((3, 2), 0.5))
    torch.testing.assert_close(embedding.mean, mean.expand(3, 2, 2))
    torch.testing.assert_close(embedding.variance, variance.expand(3, 2, 2))


def test_flips_mirror_only_the_axes_asked_for():
    x = torch.arange(12.0).reshape(1, 1, 3, 4).repeat(200, 1, 1, 1)
    out = augment(x, [3], 0.0, torch.Generator().manual_seed(0))
    mirrored = (out == x.flip(3)).flatten(1).all(1)
    kept = (out == x).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 70 < mirrored.sum() < 130


def test_shifts_move_by_whole_pixels_and_repeat_the_edge():
    x = torch.arange(10.0).repeat(300, 1, 1)
    out = augment(x, [], 0.2, torch.Generator().manual_seed(0))
    moves = {tuple(row.flatten().tolist()) for row in out}
    expected = {tuple((torch.arange(10.0) + k).clamp(0, 9).tolist()) for k in range(-2, 3)}
    assert moves == expected


def test_nothing_asked_for_changes_nothing():
    x = torch.rand(4, 2, 5, 5)
    assert augment(x, [], 0.0, torch.Generator().manual_seed(0)) is x


def test_views_together_have_the_moments_of_what_each_says():
    """Probabilities, means and variances of the equal mixture of three views, by a loop."""
    torch.manual_seed(0)
    encoder = ClusterEncoder((1, 12, 12), torch.randn(2, 3), torch.rand(2, 3) + 0.5).eval()
    said = [encoder(torch.rand(5, 1, 12, 12)) for _ in range(3)]
    log_gamma, together = averaged(said)
    gamma, first, second = torch.zeros(5, 2), torch.zeros(5, 2, 3), torch.zeros(5, 2, 3)
    for one, gaussian in said:
        gamma += one.exp() / 3
        first += gaussian.mean / 3
        second += (gaussian.variance + gaussian.mean**2) / 3
    torch.testing.assert_close(log_gamma.exp(), gamma)
    torch.testing.assert_close(together.mean, first)
    torch.testing.assert_close(together.variance, second - first**2)
    assert averaged(said[:1]) is said[0]


def test_all_mirror_images():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert [view.flatten().tolist() for view in mirrored(x, [3, 2])] == [
        [0, 1, 2, 3, 4, 5],
        [2, 1, 0, 5, 4, 3],
        [3, 4, 5, 0, 1, 2],
        [5, 4, 3, 2, 1, 0],
    ]
    assert mirrored(x, [])[0] is x
