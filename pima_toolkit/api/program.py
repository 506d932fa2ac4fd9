"""A fit as the lines of Python that make it again, for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields

from ..answers.predictor import Predictor
from ..answers.record import TrainingRecord
from ..errors import ExpertError
from ..experts import Expert, PrincipalCurves, get_expert
from ..fitting.options import ModelOptions, TrainingSettings
from ..model.modality import Modality, Physics


def program(predictor: Predictor, record: TrainingRecord) -> str:
    """Write the options that are not the defaults; a law or a network of the user's own is named as such.

    Args:
        predictor: The fit.
        record: Its training.
    """
    options, settings = predictor.options, record.settings
    modalities = [f"        {name!r}: {_modality(name, option)}," for name, option in options.modalities.items()]
    own = {name: option.expert for name, option in options.physics.items() if _is_own(option.expert)}
    clusters = repr("auto") if "number" in record.facts else str(options.clusters)
    model = _given(options, skip=("modalities", "clusters", "inference"))
    training = _given(settings, skip=("seed", "groups"))
    groups = [f"groups={settings.groups!r}"] if options.by_evidence and options.neural else []
    return "\n".join(
        (
            "import pima_toolkit as pima",
            "",
            *(f"# {name}_law is your own: {_one_line(law)}" for name, law in own.items()),
            'data = pima.open_data("data.nc")',
            "model = pima.PIMA(",
            "    {",
            *modalities,
            "    },",
            *(f"    {one}," for one in [f"clusters={clusters}", *model, f"inference={options.inference!r}"]),
            ")",
            f"fit = model.fit({', '.join(['data', f'seed={settings.seed}', *training, *groups])})",
        )
    )


def _modality(name: str, option: Modality) -> str:
    if not isinstance(option, Physics):
        return f"pima.Neural({', '.join(_given(option))})"
    expert = f"{name}_law" if _is_own(option.expert) else repr(option.expert.name)
    if isinstance(option.expert, PrincipalCurves):
        expert = f"'principal_curves', components={len(option.expert.parameters)}"
    return f"pima.Physics({', '.join([expert, *_given(option, skip=('expert',))])})"


def _is_own(expert: Expert) -> bool:
    """Whether a law has no name that a program may ask for."""
    if isinstance(expert, PrincipalCurves):
        return False
    try:
        return get_expert(expert.name) != expert
    except ExpertError:
        return True


def _one_line(law: Expert) -> str:
    return " ".join((getattr(law, "formula", "") or repr(law)).split())


def _given(options: Modality | ModelOptions | TrainingSettings, skip: tuple[str, ...] = ()) -> list[str]:
    """Arguments that differ from the defaults."""
    return [f"{f.name}={_text(f, options)}" for f in fields(options) if f.name not in skip and _differs(f, options)]


def _differs(field: Field, options: object) -> bool:
    return getattr(options, field.name) != field.default


def _text(field: Field, options: object) -> str:
    value = getattr(options, field.name)
    if isinstance(value, Mapping):
        return repr(dict(value))
    return repr(value) if isinstance(value, str | int | float | tuple | bool) else f"my_{field.name}"
