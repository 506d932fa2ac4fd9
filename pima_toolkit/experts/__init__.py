"""Experts: the physics of a modality (eqs. 13, 14, 17).

Each wing is made of those before it: contract, formulas, solvers, regression, kinds, registry. Names load on first use,
so that a plugin can import ``hookimpl`` without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import face

if TYPE_CHECKING:
    from ..plugins.hooks import hookimpl
    from ..plugins.records import Origin
    from .card import Card, card_of
    from .contract.bounds import Bounds
    from .contract.example import Example
    from .contract.inputs import Inputs, by_name, pack, take_inputs, unpack, variable, with_covariates
    from .contract.law import Law, example_of
    from .contract.parameters import Parameter, resolve_unit
    from .diagnosis.curves import PopulationCurves
    from .diagnosis.diagnosis import Diagnosis, Finding, diagnose
    from .diagnosis.noise_evidence import NoiseEvidence
    from .formulas.parser import latex_name, read_formula
    from .kinds.elastic_plastic import ElasticPlastic
    from .kinds.expert import Expert
    from .kinds.formula_expert import SympyExpert
    from .kinds.hyperelastic import Hyperelastic, hyperelastic
    from .kinds.lmfit_expert import LmfitExpert
    from .kinds.notation import is_made, with_relations
    from .kinds.ode_expert import OdeExpert
    from .kinds.peaks import Peaks
    from .kinds.principal_curves import LearnedInFit, PrincipalCurves, principal_curves
    from .kinds.torch_expert import TorchExpert
    from .noise.base import CurveNoise, CurveResiduals, NoiseShape
    from .noise.table import NOISES
    from .registry import (
        EXPERTS,
        Manager,
        PluginRecord,
        elastic_plastic,
        expert_from_dict,
        experts,
        find_peaks,
        get_expert,
        load_plugin,
        peaks,
        plugin_records,
        register,
        use_manager,
    )
    from .regression.covariance import inverse_information, unidentified
    from .regression.dependence import Dependence, SpecimenDesign, number_groups
    from .regression.effects import per, scale_units, scales
    from .regression.fit import fit_as_one
    from .regression.lmfit_bridge import lmfit_result
    from .regression.next_test import Conditions
    from .regression.population import reported_bounds, student
    from .regression.priors import Priors
    from .regression.quantities import CurveQuantity, derive
    from .regression.solution import Solution, law_of
    from .solvers.integrated import BEYOND, integrated
    from .solvers.least_squares import solve
    from .solvers.noisy_fits import curves_at, learned_noise, noisy_fits, residuals_of, working_curves
    from .solvers.optimum import Optimum
    from .solvers.own_fits import CurveInformation, own_fits
    from .solvers.starts import spread
    from .solvers.statistics import CurveStatistics
    from .solvers.strata import standard_errors, strata_of
    from .together.fit import fit_together
    from .together.solution import TogetherSolution

#: Public name -> the file it is in.
_HOME = {
    "BEYOND": ".solvers.integrated",
    "Bounds": ".contract.bounds",
    "Card": ".card",
    "Conditions": ".regression.next_test",
    "CurveInformation": ".solvers.own_fits",
    "CurveNoise": ".noise.base",
    "CurveQuantity": ".regression.quantities",
    "CurveResiduals": ".noise.base",
    "CurveStatistics": ".solvers.statistics",
    "PopulationCurves": ".diagnosis.curves",
    "Diagnosis": ".diagnosis.diagnosis",
    "Finding": ".diagnosis.diagnosis",
    "diagnose": ".diagnosis.diagnosis",
    "EXPERTS": ".registry",
    "Dependence": ".regression.dependence",
    "ElasticPlastic": ".kinds.elastic_plastic",
    "Example": ".contract.example",
    "Expert": ".kinds.expert",
    "Inputs": ".contract.inputs",
    "Law": ".contract.law",
    "LearnedInFit": ".kinds.principal_curves",
    "LmfitExpert": ".kinds.lmfit_expert",
    "Manager": ".registry",
    "NOISES": ".noise.table",
    "NoiseEvidence": ".diagnosis.noise_evidence",
    "NoiseShape": ".noise.base",
    "OdeExpert": ".kinds.ode_expert",
    "Optimum": ".solvers.optimum",
    "Origin": "..plugins.records",
    "Parameter": ".contract.parameters",
    "Peaks": ".kinds.peaks",
    "PluginRecord": ".registry",
    "PrincipalCurves": ".kinds.principal_curves",
    "Priors": ".regression.priors",
    "Solution": ".regression.solution",
    "SpecimenDesign": ".regression.dependence",
    "SympyExpert": ".kinds.formula_expert",
    "TogetherSolution": ".together.solution",
    "TorchExpert": ".kinds.torch_expert",
    "by_name": ".contract.inputs",
    "card_of": ".card",
    "curves_at": ".solvers.noisy_fits",
    "derive": ".regression.quantities",
    "elastic_plastic": ".registry",
    "example_of": ".contract.law",
    "expert_from_dict": ".registry",
    "experts": ".registry",
    "find_peaks": ".registry",
    "fit_as_one": ".regression.fit",
    "fit_together": ".together.fit",
    "get_expert": ".registry",
    "hyperelastic": ".kinds.hyperelastic",
    "Hyperelastic": ".kinds.hyperelastic",
    "hookimpl": "..plugins.hooks",
    "integrated": ".solvers.integrated",
    "is_made": ".kinds.notation",
    "inverse_information": ".regression.covariance",
    "latex_name": ".formulas.parser",
    "law_of": ".regression.solution",
    "learned_noise": ".solvers.noisy_fits",
    "lmfit_result": ".regression.lmfit_bridge",
    "load_plugin": ".registry",
    "noisy_fits": ".solvers.noisy_fits",
    "number_groups": ".regression.dependence",
    "own_fits": ".solvers.own_fits",
    "pack": ".contract.inputs",
    "peaks": ".registry",
    "per": ".regression.effects",
    "plugin_records": ".registry",
    "principal_curves": ".kinds.principal_curves",
    "read_formula": ".formulas.parser",
    "register": ".registry",
    "reported_bounds": ".regression.population",
    "residuals_of": ".solvers.noisy_fits",
    "resolve_unit": ".contract.parameters",
    "scale_units": ".regression.effects",
    "scales": ".regression.effects",
    "solve": ".solvers.least_squares",
    "spread": ".solvers.starts",
    "standard_errors": ".solvers.strata",
    "strata_of": ".solvers.strata",
    "student": ".regression.population",
    "take_inputs": ".contract.inputs",
    "unidentified": ".regression.covariance",
    "unpack": ".contract.inputs",
    "use_manager": ".registry",
    "variable": ".contract.inputs",
    "with_covariates": ".contract.inputs",
    "with_relations": ".kinds.notation",
    "working_curves": ".solvers.noisy_fits",
}

__all__ = [
    "BEYOND",
    "EXPERTS",
    "NOISES",
    "Bounds",
    "Card",
    "Conditions",
    "CurveInformation",
    "CurveNoise",
    "CurveQuantity",
    "CurveResiduals",
    "CurveStatistics",
    "Dependence",
    "Diagnosis",
    "ElasticPlastic",
    "Example",
    "Expert",
    "Finding",
    "Hyperelastic",
    "Inputs",
    "Law",
    "LearnedInFit",
    "LmfitExpert",
    "Manager",
    "NoiseEvidence",
    "NoiseShape",
    "OdeExpert",
    "Optimum",
    "Origin",
    "Parameter",
    "Peaks",
    "PluginRecord",
    "PopulationCurves",
    "PrincipalCurves",
    "Priors",
    "Solution",
    "SpecimenDesign",
    "SympyExpert",
    "TogetherSolution",
    "TorchExpert",
    "by_name",
    "card_of",
    "curves_at",
    "derive",
    "diagnose",
    "elastic_plastic",
    "example_of",
    "expert_from_dict",
    "experts",
    "find_peaks",
    "fit_as_one",
    "fit_together",
    "get_expert",
    "hookimpl",
    "hyperelastic",
    "integrated",
    "inverse_information",
    "is_made",
    "latex_name",
    "law_of",
    "learned_noise",
    "lmfit_result",
    "load_plugin",
    "noisy_fits",
    "number_groups",
    "own_fits",
    "pack",
    "peaks",
    "per",
    "plugin_records",
    "principal_curves",
    "read_formula",
    "register",
    "reported_bounds",
    "residuals_of",
    "resolve_unit",
    "scale_units",
    "scales",
    "solve",
    "spread",
    "standard_errors",
    "strata_of",
    "student",
    "take_inputs",
    "unidentified",
    "unpack",
    "use_manager",
    "variable",
    "with_covariates",
    "with_relations",
    "working_curves",
]

if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses what is not there
    __getattr__, __dir__ = face(__name__, _HOME, globals())
