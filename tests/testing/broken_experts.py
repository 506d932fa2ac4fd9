"""One deliberately broken expert per check of the kit: only that check may find it."""

import random
import time

import numpy as np
import torch

import pima_toolkit as pima


class Sound(pima.SympyExpert):
    """A decay that is broken in one place by each of the classes below.

    Valid for: tests.
    """

    name, t, formula = "sound", "time", "A * exp(-k * time)"
    parameters = (pima.Parameter("A", unit="{y}", lower=0), pima.Parameter("k", unit="1/{t}", lower=0))
    example = pima.Example(t=(0, 2), parameters={"A": 3, "k": 1.3}, points=25)


class NoDocstring(Sound):
    __doc__ = None


class OddUnit(Sound):
    __doc__ = Sound.__doc__
    parameters = (pima.Parameter("A", unit="{stress}", lower=0), pima.Parameter("k", lower=0))


class ExampleOutside(Sound):
    __doc__ = Sound.__doc__
    parameters = (pima.Parameter("A", lower=0), pima.Parameter("k", lower=0, upper=1.2))


class WrongShownDerivative(Sound):
    __doc__ = Sound.__doc__
    reported = (pima.Parameter("A"), pima.Parameter("half_life"))

    def to_reported(self, theta):
        theta = np.asarray(theta, dtype=np.float64)
        return np.stack([theta[..., 0], np.log(2) / theta[..., 1]], axis=-1)

    def reported_jacobian(self, theta):
        slope = super().reported_jacobian(theta)
        slope[..., 1, 1] = np.log(2) / np.asarray(theta)[..., 1] ** 2  # the sign is wrong
        return slope


class NotLinear(Sound):
    __doc__ = Sound.__doc__
    linear = (1,)


class NotJson(Sound):
    __doc__ = Sound.__doc__

    def to_dict(self):
        return {**super().to_dict(), "seen": {1, 2}}


class AlwaysDouble(Sound):
    __doc__ = Sound.__doc__

    def predict(self, t, theta):
        return super().predict(t.double(), theta.double())


class IdleCovariate(Sound):
    __doc__ = Sound.__doc__
    covariates, formula = ("T",), "A * exp(-k * time) + 0 * T"
    example = pima.Example(t=(0, 2), parameters={"A": 3, "k": 1.3}, points=25, covariates={"T": 300})


class OtherTorchForm(Sound):
    __doc__ = Sound.__doc__

    def predict(self, t, theta):
        return super().predict(t, theta) + 0.1


class CutGradient(Sound):
    __doc__ = Sound.__doc__

    def predict(self, t, theta):
        return super().predict(t, torch.cat([theta[..., :1], theta[..., 1:].detach()], -1))


class BothSlopesWrong(Sound):
    """A thousandth too steep in both forms, as a factor forgotten in a derivation would be. Valid for: tests."""

    linear = ()

    def predict(self, t, theta):
        value = super().predict(t, theta)
        return value + 1e-3 * (value - value.detach())

    def value_and_jacobian(self, t, theta):
        value, jacobian = super().value_and_jacobian(t, theta)
        return value, 1.001 * jacobian


class GradientNan(Sound):
    """Torch's where() keeps the value finite, not the gradient of the branch not taken. Valid for: tests."""

    formula = "A * time**k"

    def predict(self, t, theta):
        # exp(k log t): at t = 0 the value is 0, its derivative by k is 0 * inf
        A, k = theta[..., :1], theta[..., 1:]
        t = t.to(theta.dtype)
        return A * torch.where(t > 0, torch.exp(k * torch.log(t)), torch.zeros_like(t))


class BoundTooFar(Sound):
    __doc__ = Sound.__doc__
    formula = "A * log(1.5 - k + time)"
    parameters = (pima.Parameter("A", lower=0, upper=10), pima.Parameter("k", lower=0, upper=2))
    example = pima.Example(t=(0, 2), parameters={"A": 3, "k": 0.2}, points=25)


class AsksForNumbers(Sound):
    __doc__ = Sound.__doc__

    def predict(self, t, theta):
        if torch._C._functorch.is_batchedtensor(theta):
            float(theta.sum())  # what an `if` on a value does under vmap
        return super().predict(t, theta)


class Wavers(Sound):
    __doc__ = Sound.__doc__
    rng = np.random.default_rng(0)

    def value_and_jacobian(self, t, theta):
        value, jacobian = super().value_and_jacobian(t, theta)
        return value * (1 + 1e-13 * self.rng.normal()), jacobian


class SharedScratch(Sound):
    __doc__ = Sound.__doc__
    kept = {}  # noqa: RUF012 - the mistake

    def value_and_jacobian(self, t, theta):
        self.kept["theta"] = theta
        time.sleep(0.002)
        return super().value_and_jacobian(t, self.kept["theta"])


class Seeds(Sound):
    __doc__ = Sound.__doc__

    def initial_guess(self, t, y, weights):
        random.seed(0)
        return super().initial_guess(t, y, weights)


class ChangesInput(Sound):
    __doc__ = Sound.__doc__

    def value_and_jacobian(self, t, theta):
        answer = super().value_and_jacobian(t, theta)
        theta[...] = np.nextafter(theta, 0)
        return answer


class GuessOutside(Sound):
    __doc__ = Sound.__doc__

    def guess(self, t, y, weights=None):
        return super().guess(t, y, weights) * np.array([-1.0, 1.0])


class CountsEverything(Sound):
    __doc__ = Sound.__doc__

    def initial_guess(self, t, y, weights):  # noqa: ARG002 - the mistake
        return np.stack([y.max(axis=1), np.ones(len(y))], axis=1)


class FirstRowForAll(Sound):
    __doc__ = Sound.__doc__

    def initial_guess(self, t, y, weights):
        return np.tile(super().initial_guess(t if t.ndim == 1 else t[:1], y[:1], weights[:1]), (len(y), 1))


class Undetermined(Sound):
    __doc__ = Sound.__doc__
    formula = "A * B * exp(-k * time)"
    parameters = (*Sound.parameters, pima.Parameter("B", lower=0))
    example = pima.Example(t=(0, 2), parameters={"A": 3, "k": 1.3, "B": 0.7}, points=25)


class FewAtOnce(Sound):
    __doc__ = Sound.__doc__

    def to_reported(self, theta):
        if np.size(theta) > 2 * 20:
            raise MemoryError("no room for so many specimens")
        return super().to_reported(theta)


#: check -> the expert that only it finds
BROKEN = {
    "docstring": NoDocstring,
    "parameters": OddUnit,
    "example": ExampleOutside,
    "reported_parameters": WrongShownDerivative,
    "linear_parameters": NotLinear,
    "json_round_trip": NotJson,
    "shapes": AlwaysDouble,
    "covariates": IdleCovariate,
    "torch_equals_compiled": OtherTorchForm,
    "jacobian_equals_torch": CutGradient,
    "jacobian_equals_differences": BothSlopesWrong,
    "finite_on_the_grid": GradientNan,
    "finite_at_the_bounds": BoundTooFar,
    "vmap": AsksForNumbers,
    "deterministic": Wavers,
    "thread_safe": SharedScratch,
    "no_global_random_state": Seeds,
    "inputs_unchanged": ChangesInput,
    "guess_inside_bounds": GuessOutside,
    "zero_weights_ignored": CountsEverything,
    "order_does_not_matter": FirstRowForAll,
    "recovers_its_parameters": Undetermined,
    "usable_in_pima": FewAtOnce,
}
