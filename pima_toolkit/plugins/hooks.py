"""The hooks a plugin may implement; importing this costs nothing but pluggy.

A plugin is a module with functions of these names, each under ``@pima_toolkit.hookimpl``::

    import pima_toolkit as pima

    @pima.hookimpl
    def pima_encoders():
        return {"wavelet": Wavelet()}

The hook of experts returns a list, since an expert has a name of its own; the others return a table from a name to the
thing, as the tables of the toolkit itself do.
"""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

#: Entry-point group of plugins, and the name of pluggy's project.
GROUP = "pima_toolkit"

#: Version of the hooks (major, minor). A plugin may set ``PIMA_API`` to the one it was written for.
#: 1.0 had experts alone; 1.1 added the other hooks.
PIMA_API = (1, 1)

hookimpl = pluggy.HookimplMarker(GROUP)
_hookspec = pluggy.HookspecMarker(GROUP)


@_hookspec
def pima_experts() -> list:  # type: ignore[return]
    """Give the plugin's experts: the physics of a modality.

    Returns:
        A list of Expert classes or instances, each with its own name.
    """


@_hookspec
def pima_noise_models() -> Mapping[str, object]:  # type: ignore[return]
    """Give the plugin's noise models: how measurements scatter about the curves, ``Physics(noise="name")``.

    Returns:
        Name -> an instance of a subclass of ``pima_toolkit.NoiseModel``.
    """


@_hookspec
def pima_encoders() -> Mapping[str, object]:  # type: ignore[return]
    """Give the plugin's encoders: networks from measurements and back, ``Neural(encoder="name", decoder="name")``.

    Returns:
        Name -> an instance of a subclass of ``pima_toolkit.EncoderKind``.
    """


@_hookspec
def pima_speakers() -> Mapping[str, object]:  # type: ignore[return]
    """Give the plugin's speakers: regressions from measurements to what curves say of population and parameters.

    Returns:
        Name -> an instance of a subclass of ``pima_toolkit.Speaker``.
    """


@_hookspec
def pima_readers() -> Mapping[str, object]:  # type: ignore[return]
    """Give the plugin's readers: file formats that ``from_folder`` understands.

    Returns:
        Name -> reader: a ``ColumnReader`` or ``PixelReader`` of ``pima_toolkit.ingest``, or its class.
    """


@_hookspec
def pima_report_sections() -> Mapping[str, object]:  # type: ignore[return]
    """Give the plugin's sections of the report.

    Returns:
        Name -> function from ``pima_toolkit.report.Findings`` to a ``pima_toolkit.report.Section``, or to None where
        there is nothing to tell.
    """
