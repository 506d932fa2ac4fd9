"""lmfit's models as experts: formulas where they are formulas, else lmfit's own functions.

The formulas have lmfit's parameter names. Where lmfit keeps a width away from zero by ``max(1e-15, sigma)``, they
divide by the width as it is. Models with special functions (Voigt, Pearson, Student) and splines are computed by lmfit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ExpertError, FormulaError, require
from ..contract.inputs import by_name
from ..contract.parameters import Parameter
from ..formulas.derived import Quantity
from .callback import differences, linear_by_trial, python_curve
from .evaluated import evaluated
from .expert import Expert
from .formula_expert import SympyExpert

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: Models that cannot be experts, and why.
UNSUPPORTED = {"ComplexConstantModel": "its values are complex, and curves are real"}

_BELL = "exp(-(x - center)**2 / (2*sigma**2)) / (sigma*sqrt(2*pi))"
_RISE = {
    "linear": ("min(1, max(0, {z} + 0.5))", "0.5*(min(1, max(-1, {z})) + min(1, max(-1, {w})))"),
    "atan": ("(0.5 + atan({z})/pi)", "(atan({z}) + atan({w}))/pi"),
    "erf": ("0.5*(1 + erf({z}))", "0.5*(erf({z}) + erf({w}))"),
    "logistic": ("(1 - 1/(1 + exp({z})))", "(1 - 1/(1 + exp({z})) - 1/(1 + exp({w})))"),
}
_OFFSETS = {"bose": "- 1", "maxwell": "", "fermi": "+ 1"}
_RISE["arctan"] = _RISE["atan"]

#: lmfit class -> formula of x and lmfit's parameters.
_FORMULAS = {
    "ConstantModel": "c + 0*x",
    "LinearModel": "slope*x + intercept",
    "QuadraticModel": "a*x**2 + b*x + c",
    "GaussianModel": f"amplitude*{_BELL}",
    "Gaussian2dModel": "amplitude/(2*pi*sigmax*sigmay)"
    " * exp(-(x - centerx)**2/(2*sigmax**2) - (y - centery)**2/(2*sigmay**2))",
    "LorentzianModel": "amplitude/(1 + ((x - center)/sigma)**2)/(pi*sigma)",
    "SplitLorentzianModel": "2*amplitude/(pi*(sigma + sigma_r)) * (sigma**2/(sigma**2 + (x - center)**2)"
    " if x < center else sigma_r**2/(sigma_r**2 + (x - center)**2))",
    "PseudoVoigtModel": "(1 - fraction)*amplitude*sqrt(log(2)/pi)/sigma*exp(-log(2)*((x - center)/sigma)**2)"
    " + fraction*amplitude/(pi*sigma)/(1 + ((x - center)/sigma)**2)",
    "MoffatModel": "amplitude/(((x - center)/sigma)**2 + 1)**beta",
    "BreitWignerModel": "amplitude*(q*sigma/2 + x - center)**2/((sigma/2)**2 + (x - center)**2)",
    "LognormalModel": "amplitude/(sigma*sqrt(2*pi)*max(x, 1e-15))*exp(-(log(max(x, 1e-15)) - center)**2/(2*sigma**2))",
    "DampedOscillatorModel": "amplitude/sqrt((1 - (x/center)**2)**2 + (2*sigma*x/center)**2)",
    "DampedHarmonicOscillatorModel": "amplitude*sigma/pi*((1/((x - center)**2 + sigma**2) - 1/((x + center)**2 +"
    " sigma**2))/(1 - exp(-x/gamma)) if abs(x) > 1e-8 else 4*gamma*center/(center**2 + sigma**2)**2)",
    "ExponentialGaussianModel": "amplitude*gamma/2*exp(gamma*(center - x + gamma*sigma**2/2))"
    " * erfc((center + gamma*sigma**2 - x)/(sqrt(2)*sigma))",
    "SkewedGaussianModel": f"(1 + erf(gamma*(x - center)/(sqrt(2)*sigma)))*amplitude*{_BELL}",
    "BoseModel": "amplitude/(exp((x - center)/kt) - 1)",
    "FermiModel": "amplitude/(exp((x - center)/kt) + 1)",
    "DoniachModel": "amplitude/sigma**(1 - gamma)*cos(pi*gamma/2 + (1 - gamma)*atan((x - center)/sigma))"
    " / (1 + ((x - center)/sigma)**2)**((1 - gamma)/2)",
    "PowerLawModel": "amplitude*x**exponent",
    "ExponentialModel": "amplitude*exp(-x/decay)",
}

#: Parameters that are values of t, and of y, whatever the model.
_UNITS = {
    **dict.fromkeys(("center", "center1", "center2", "centerx", "fwhm", "decay", "kt"), "{t}"),
    **dict.fromkeys(("sigma1", "sigma2", "sigmax", "sigma_r"), "{t}"),
    **dict.fromkeys(("c", "intercept", "height"), "{y}"),
    "slope": "{y}/{t}",
}
#: Models whose sigma is a width in t, and those whose amplitude is an area; elsewhere the amplitude is a height.
_WIDTHS = ("Gaussian", "Lorentzian", "Voigt", "PseudoVoigt", "Moffat", "Pearson", "BreitWigner", "Step", "Skewed")
_AREAS = (
    "Gaussian",
    "Lorentzian",
    "SplitLorentzian",
    "Voigt",
    "PseudoVoigt",
    "Pearson",
    "Skewed",
    "ExponentialGaussian",
)


class LmfitExpert(Expert):
    """One of lmfit's models as an expert: ``LmfitExpert("gaussian")``, or a model of your own.

    Parameters have lmfit's names and bounds; lmfit's derived ones (``fwhm``, ``height``) are reported with errors where
    they are formulas. Where lmfit ties one parameter to another by default (Voigt's ``gamma = sigma``), both are free
    here: hold one by ``fixed``. Most built-in models are formulas, and as fast as any. The others (Voigt, Pearson,
    Student, splines) and models of your own are computed by lmfit's function, their derivatives by differences: about a
    hundred times slower. A fit with a model of your own is read from its file where ``pima.register`` knows the model.

    Args:
        model: Name of a built-in model, with or without "Model": ``"voigt"``, ``"VoigtModel"``; or an ``lmfit.Model``.
        t: Name of the independent variable; lmfit's own, mostly ``x``, by default.
        name: How people ask for it; lmfit's name by default.
        bounds: Lower and upper bound by name, instead of lmfit's; None for none.
        **options: What the model's constructor needs: ``degree`` of a polynomial, ``form`` of a step, ``xknots`` of a
            spline, ``expr`` of an expression (read by this toolkit's parser, never executed).

    Raises:
        ExpertError: If there is no such model, it cannot be an expert, or an option is missing.
        FormulaError: If an expression cannot be read.
        MissingDependency: If lmfit is not installed.
    """

    def __init__(
        self,
        model: str | lmfit.Model,
        t: str | None = None,
        *,
        name: str | None = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        **options: object,
    ) -> None:
        library = require("lmfit", "lmfit's models")
        if not isinstance(model, str | library.Model):
            raise ExpertError(f"{model!r} is no lmfit model: give the name of a built-in one, or an lmfit.Model")
        kind = _class_name(model) if isinstance(model, str) else None
        source = model if kind is None else _made(kind, options)
        text = None if kind is None else _formula(kind, options)
        if source is None:
            inputs = (t or "x",)
            parameters = SympyExpert(_renamed(text, inputs[0]), inputs[0], bounds=bounds).parameters
            derived = {}
        else:
            first, *others = _inputs(source)
            inputs = (t or first, *others)
            parameters, derived = _parameters(source, kind or "", bounds or {})
        values = {
            "name": name or (source.name if kind is None else kind.removesuffix("Model").lower()),
            "t": inputs[0],
            "covariates": tuple(inputs[1:]),
            "parameters": parameters,
            "derived": tuple(derived),
            "reported_formulas": (*(p.name for p in parameters), *derived.values()) if derived else (),
            "model": source,
            "kind": kind,
            "options": dict(options),
            "inner": None,
        }
        if text is not None:
            renamed = _renamed(text, inputs[0])
            values["inner"] = SympyExpert(renamed, inputs[0], covariates=inputs[1:], parameters=parameters)
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def reported(self) -> tuple[Parameter, ...]:
        """lmfit's parameters and those it derives from them by formulas."""
        units = (_unit(self.kind or "", name) for name in self.derived)
        return (*self.parameters, *(Parameter(n, unit=u) for n, u in zip(self.derived, units, strict=True)))

    @property
    def guesses(self) -> bool:
        """Whether lmfit says where to start: asked only where no formula lets the toolkit search."""
        return self.inner is None and type(self.model).guess is not require("lmfit", "lmfit's models").Model.guess

    @property
    def linear(self) -> tuple[int, ...]:
        """Parameters the model is linear in, all together; found by trial where it is no formula."""
        return _tried(self) if self.inner is None else self.inner.linear

    @property
    def latex(self) -> str:
        """The formula as LaTeX; empty where the model is none."""
        return "" if self.inner is None else self.inner.latex

    def values(self, t: Array, theta: Array) -> Array:
        """lmfit's own function at packed inputs, shape (T,)."""
        inputs = by_name(_inputs(self.model), t.copy())
        named = {p.name: float(value) for p, value in zip(self.parameters, theta, strict=True)}
        return np.broadcast_to(self.model.eval(**inputs, **named), next(iter(inputs.values())).shape)

    def compiled_curve(self) -> Callable[..., None]:
        """The compiled form: of the formula, or one that asks lmfit."""
        return _asking(self) if self.inner is None else self.inner.compiled_curve()

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch, shapes as in :meth:`Law.predict`; where lmfit computes, once differentiable, on CPU."""
        if self.inner is not None:
            return self.inner.predict(t, theta)
        return evaluated(self, t, theta)

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """Variable projection of formulas; elsewhere lmfit's own guess where its model has one."""
        if not self.guesses:
            return super().initial_guess(t, y, weights)
        guesses = []
        for n in range(len(y)):
            use = weights[n] > 0
            inputs = by_name(_inputs(self.model), t if t.ndim == 1 else t[n])
            try:
                start = self.model.guess(y[n, use], **{name: values[use] for name, values in inputs.items()})
            except (NotImplementedError, TypeError, ValueError, IndexError):  # too few points, or of a strange shape
                return super().initial_guess(t, y, weights)
            guesses.append([start[p.name].value for p in self.parameters])
        return np.array(guesses, dtype=np.float64)

    def to_reported(self, theta: Array) -> Array:
        """lmfit's parameters and derived ones, shape (..., Q)."""
        if not self.derived:
            return super().to_reported(theta)
        return np.stack([q.value_and_gradient(theta)[0] for q in self._quantities()], axis=-1)

    def reported_jacobian(self, theta: Array) -> Array:
        """Derivative of :meth:`to_reported` by the fitted parameters, shape (..., Q, P)."""
        if not self.derived:
            return super().reported_jacobian(theta)
        return np.stack([q.value_and_gradient(theta)[1] for q in self._quantities()], axis=-2)

    def _quantities(self) -> tuple[Quantity, ...]:
        return _quantities(self.reported_formulas, tuple(p.name for p in self.parameters))

    def to_dict(self) -> dict[str, object]:
        """Give the expert as JSON-able values.

        A model of your own is code, and is found again by the name it is registered under.
        """
        if self.kind is None:
            return super().to_dict()
        return {**super().to_dict(), "kind": "lmfit", "model": self.kind, "options": _plain(self.options)}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.kind or id(self.model), repr(sorted(_plain(self.options).items())))


@functools.lru_cache(maxsize=128)
def _tried(expert: LmfitExpert) -> tuple[int, ...]:
    lower, upper = (np.array([getattr(p, side) for p in expert.parameters]) for side in ("lower", "upper"))
    return linear_by_trial(expert.values, np.linspace(0.13, 3.7, 9 * len(expert.inputs)), lower, upper)


@functools.lru_cache(maxsize=128)
def _asking(expert: LmfitExpert) -> Callable[..., None]:
    lower, upper = (np.array([getattr(p, side) for p in expert.parameters]) for side in ("lower", "upper"))
    count = len(expert.inputs)

    def computed(t: Array, theta: Array) -> tuple[Array, Array]:
        if count == 1:
            return differences(expert.values, t, theta, lower, upper)
        points = t.size // count
        value, jacobian = differences(lambda _, p: expert.values(t, p), t[:points], theta, lower, upper)
        return value, jacobian

    return python_curve(computed)


def _class_name(model: str) -> str:
    """lmfit's class of this name.

    Raises:
        ExpertError: If there is none, or it cannot be an expert.
    """
    known = {cls.__name__ for cls in require("lmfit.models", "lmfit's models").lmfit_models.values()}
    wanted = model.lower().replace(" ", "").replace("_", "").replace("-", "").removesuffix("model") + "model"
    names = [name for name in known if name.lower() == wanted]
    if not names:
        there = ", ".join(sorted(name.removesuffix("Model").lower() for name in known))
        raise ExpertError(f"lmfit has no model {model!r}; it has {there}")
    if names[0] in UNSUPPORTED:
        raise ExpertError(f"lmfit's {names[0]} cannot be an expert: {UNSUPPORTED[names[0]]}")
    return names[0]


#: What a constructor cannot do without.
_NEEDS = {"PolynomialModel": "degree", "SplineModel": "xknots", "ExpressionModel": "expr"}


def _made(kind: str, options: dict[str, object]) -> lmfit.Model | None:
    """lmfit's model; None for an expression, which lmfit would execute and this toolkit reads itself."""
    needed = _NEEDS.get(kind)
    if needed is not None and needed not in options:
        raise ExpertError(f"lmfit's {kind} needs {needed}: write LmfitExpert(..., {needed}=...)")
    if kind == "ExpressionModel":
        return None
    try:
        return getattr(require("lmfit.models", "lmfit's models"), kind)(**options)
    except (TypeError, ValueError, AttributeError) as error:
        raise ExpertError(f"lmfit cannot make its {kind} of {options}: {error}") from None


def _formula(model: str, options: dict[str, object]) -> str | None:
    """Write the formula of an lmfit model; None where it is none.

    Args:
        model: Name of lmfit's class, ``"GaussianModel"``.
        options: Arguments of its constructor, such as ``{"degree": 3}`` or ``{"form": "erf"}``.

    Raises:
        ExpertError: If the model has no such form.
    """
    forms = {"ThermalDistributionModel": _OFFSETS, "StepModel": _RISE, "RectangleModel": _RISE}.get(model)
    form = str(options.get("form", next(iter(forms)))).lower() if forms else ""
    if forms and form not in forms:
        raise ExpertError(f"form={options['form']!r} of lmfit's {model} is unknown: use {', '.join(forms)}")
    if model == "PolynomialModel":
        terms = [f"c{k}*x**{k}" if k > 1 else ("c1*x", "c0 + 0*x")[k == 0] for k in range(int(options["degree"]) + 1)]
        return " + ".join(terms)
    if model == "ThermalDistributionModel":
        return f"1/(amplitude*exp((x - center)/kt) {_OFFSETS[form]})"
    if model == "StepModel":
        return "amplitude*" + _RISE[form][0].format(z="((x - center)/sigma)")
    if model == "RectangleModel":
        first, second = "((x - center1)/sigma1)", "((center2 - x)/sigma2)"
        return "amplitude*" + _RISE[form][1].format(z=first, w=second)
    if model == "ExpressionModel":
        return str(options["expr"])
    return _FORMULAS.get(model)


def _unit(model: str, parameter: str) -> str:
    """Tell the unit of a parameter of an lmfit model; ``"1"`` where it depends on others."""
    known = _UNITS.get(parameter)
    if known is not None:
        return known
    if parameter == "sigma":
        return "{t}" if model.startswith(_WIDTHS) or model.startswith("SplitLorentzian") else "1"
    if parameter == "amplitude" and model not in ("PowerLawModel", "ThermalDistributionModel", "LognormalModel"):
        return "{y}*{t}" if model.startswith(_AREAS) and model != "Gaussian2dModel" else "{y}"
    return "1"


def _renamed(text: str, t: str) -> str:
    return re.sub(r"\bx\b", t, text)


def _inputs(model: lmfit.Model) -> list[str]:
    """Names of the model's inputs along the curve; lmfit counts options such as a step's form among them."""
    options = {name for part in model.components for name in part.opts}
    texts = {n for part in model.components for n, v in part.independent_vars_defvals.items() if isinstance(v, str)}
    return [name for name in model.independent_vars if name not in options | texts]


def _parameters(
    model: lmfit.Model, kind: str, bounds: Mapping[str, tuple[float | None, float | None]]
) -> tuple[tuple[Parameter, ...], dict[str, str]]:
    """Parameters with lmfit's bounds, and formulas of those it derives from them, by name."""
    made, inputs = model.make_params(), _inputs(model)
    # In the order of the functions' arguments: lmfit puts those that it ties to others, Voigt's gamma, last.
    arguments = [(part.prefix, name) for part in model.components for name in part._func_allargs]
    names = [prefix + name for prefix, name in arguments if name not in inputs and prefix + name in made]
    stray = [name for name in bounds if name not in names]
    if stray:
        raise ExpertError(f"bounds are given for {stray[0]!r}, which is no parameter: they are {', '.join(names)}")
    parameters = []
    for name in names:
        low, high = bounds.get(name, (made[name].min, made[name].max))
        limits = {"lower": -np.inf if low is None else low, "upper": np.inf if high is None else high}
        parameters.append(Parameter(name, unit=_unit(kind, name), **limits))
    derived = {}
    for name, p in made.items():
        if name in names or p.expr is None:
            continue
        try:
            Quantity(p.expr, names)
        except FormulaError:
            continue  # the height of a Voigt profile is no formula of this reader: it is not reported
        derived[name] = p.expr
    return tuple(parameters), derived


@functools.lru_cache(maxsize=128)
def _quantities(texts: tuple[str, ...], names: tuple[str, ...]) -> tuple[Quantity, ...]:
    return tuple(Quantity(text, names) for text in texts)


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    """Options as JSON-able values."""
    return {
        k: v.tolist() if isinstance(v, np.ndarray) else list(v) if isinstance(v, tuple) else v
        for k, v in options.items()
    }
