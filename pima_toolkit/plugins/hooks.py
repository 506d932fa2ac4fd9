"""What a plugin implements; importing this costs nothing but pluggy."""

from __future__ import annotations

import pluggy

#: Entry-point group of plugins, and the name of pluggy's project.
GROUP = "pima_toolkit"

#: Version of the hooks (major, minor). A plugin may set ``PIMA_API`` to the one it was written for.
PIMA_API = (1, 0)

hookimpl = pluggy.HookimplMarker(GROUP)
_hookspec = pluggy.HookspecMarker(GROUP)


@_hookspec
def pima_experts() -> list:  # type: ignore[return]
    """The plugin's experts.

    Returns:
        A list of Expert classes or instances, each with its own name.
    """
