"""lmfit's built-in models that are formulas of this toolkit's reader, with lmfit's own parameter names.

Where lmfit keeps a width away from zero by ``max(1e-15, sigma)``, the formula divides by the width as it is. Models
with special functions (Voigt, Pearson, Student) and splines are not here: lmfit computes them (``lmfit_expert``).
"""

from __future__ import annotations

from ...errors import ExpertError

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
FORMULAS = {
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
UNITS = {
    **dict.fromkeys(("center", "center1", "center2", "centerx", "fwhm", "decay", "kt"), "{t}"),
    **dict.fromkeys(("sigma1", "sigma2", "sigmax", "sigma_r"), "{t}"),
    **dict.fromkeys(("c", "intercept", "height"), "{y}"),
    "slope": "{y}/{t}",
}
#: Models whose sigma is a width in t, and those whose amplitude is an area; elsewhere the amplitude is a height.
WIDTHS = ("Gaussian", "Lorentzian", "Voigt", "PseudoVoigt", "Moffat", "Pearson", "BreitWigner", "Step", "Skewed")
AREAS = (
    "Gaussian",
    "Lorentzian",
    "SplitLorentzian",
    "Voigt",
    "PseudoVoigt",
    "Pearson",
    "Skewed",
    "ExponentialGaussian",
)


def formula(model: str, options: dict[str, object]) -> str | None:
    """The formula of an lmfit model, or None where it is none.

    Args:
        model: Name of the class, ``"GaussianModel"``.
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
    return FORMULAS.get(model)


def unit(model: str, parameter: str) -> str:
    """Unit of a parameter of an lmfit model, ``"1"`` where it depends on others."""
    known = UNITS.get(parameter)
    if known is not None:
        return known
    if parameter == "sigma":
        return "{t}" if model.startswith(WIDTHS) or model.startswith("SplitLorentzian") else "1"
    if parameter == "amplitude" and model not in ("PowerLawModel", "ThermalDistributionModel", "LognormalModel"):
        return "{y}*{t}" if model.startswith(AREAS) and model != "Gaussian2dModel" else "{y}"
    return "1"
