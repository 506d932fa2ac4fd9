"""Tables of what parameters depend on in a model's fit: effects of covariates, and how batches differ."""

from __future__ import annotations

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr

from ..errors import OptionError
from ..experts import per, resolve_unit, scale_units, scales
from .predictor import Predictor
from .tables import LEVEL


def effects(predictor: Predictor) -> xr.Dataset:
    """Table of the effects of covariates, see :attr:`pima_toolkit.Fit.effects`."""
    rows: list[dict[str, object]] = []
    slopes: list[np.ndarray] = []
    several = sum(bool(option.depends_on) for option in predictor.options.physics.values()) > 1
    for name, option in predictor.options.physics.items():
        spec, decoder = predictor.specs[name], predictor.state.decoders[name]
        if spec.known is None or decoder.known is None or not len(spec.known.dependence):
            continue
        found, known, schema = spec.known.dependence, decoder.known, spec.schema
        words = scales(option.expert, decoder.bounds)
        units = scale_units(option.expert, decoder.bounds, schema.unit, schema.t_unit)
        own = [resolve_unit(p.unit, schema.unit, schema.t_unit) for p in option.expert.parameters]
        error = np.sqrt(np.diagonal(known.covariance))
        turned = decoder.bounds.slope(decoder.theta)
        for k, place in enumerate(found.places):
            below = schema.covariate_units.get(found.terms[k], "1")
            rows.append(
                {
                    "effect": f"{name}.{found.labels[k]}" if several else found.labels[k],
                    "value": known.slopes[k],
                    "std_error": error[k],
                    "freedom": known.freedom[k],
                    "parameter": found.names[k],
                    "term": found.terms[k],
                    "scale": words[place],
                    "unit": per(units[place], below),
                    "slope_unit": per(own[place], below),
                    "reference": spec.known.reference[k],
                    "effect_modality": name,
                }
            )
            slopes.append(known.slopes[k] * turned[:, place])
    if not rows:
        raise OptionError(
            "the parameters of this fit depend on no covariate: use Physics(expert, depends_on=...), such as"
            ' depends_on={"E": ["temperature"]}'
        )
    value, error, freedom = (np.array([row[key] for row in rows], float) for key in ("value", "std_error", "freedom"))
    half = scipy.stats.t.ppf(0.5 * (1.0 + LEVEL), freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2.0 * scipy.stats.t.sf(np.abs(value / error), freedom)
    named = ("parameter", "term", "scale", "unit", "slope_unit", "reference", "effect_modality")
    return xr.Dataset(
        {
            "value": ("effect", value, {"long_name": "change of the parameter's scale by one unit of the term"}),
            "std_error": ("effect", error, {"long_name": "standard error"}),
            "low": ("effect", value - half, {"long_name": "lower end of the interval"}),
            "high": ("effect", value + half, {"long_name": "upper end of the interval"}),
            "p_value": ("effect", p_value, {"long_name": "two-sided, of no effect"}),
            "freedom": ("effect", freedom, {"long_name": "degrees of freedom of Student's t"}),
            "slope": (("cluster", "effect"), np.stack(slopes, 1), {"long_name": "change of the parameter itself"}),
        },
        coords={
            "effect": [row["effect"] for row in rows],
            **{key: ("effect", [row[key] for row in rows]) for key in named},
            "cluster": np.arange(predictor.options.clusters),
        },
        attrs={"level": LEVEL, "method": "EM on every curve's own fit, Knapp-Hartung, Student's t"},
    )


def batches(predictor: Predictor) -> xr.Dataset:
    """Table of how batches differ, see :attr:`pima_toolkit.Fit.batches`."""
    tables: list[xr.Dataset] = []
    for name, option in predictor.options.physics.items():
        spec, decoder = predictor.specs[name], predictor.state.decoders[name]
        if spec.known is None or decoder.known is None or not spec.known.batches:
            continue
        known, schema = decoder.known, spec.schema
        unsure = np.sqrt(np.maximum(np.einsum("gpp->gp", known.batch_covariance), 0.0))
        about = {"long_name": "standard deviation given the curves"}
        tables.append(
            xr.Dataset(
                {
                    "std": ("parameter", np.sqrt(known.batch_scatter), {"long_name": "between batches"}),
                    "effect": (("group", "parameter"), known.batches, {"long_name": "best prediction"}),
                    "effect_std": (("group", "parameter"), unsure, about),
                },
                coords={
                    "parameter": [p.name for p in option.expert.parameters],
                    "group": list(spec.known.batches),
                    "scale": ("parameter", scales(option.expert, decoder.bounds)),
                    "unit": (
                        "parameter",
                        scale_units(option.expert, decoder.bounds, schema.unit, schema.t_unit),
                    ),
                    "parameter_modality": ("parameter", [name] * len(option.expert.parameters)),
                },
                attrs={"grouped_by": option.groups},
            )
        )
    if not tables:
        raise OptionError('this fit knows no batches: use Physics(expert, groups="batch")')
    return tables[0] if len(tables) == 1 else xr.Dataset(xr.concat(tables, "parameter", join="outer"))
