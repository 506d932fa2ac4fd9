"""What became of a plugin, and the origin that is written on what it gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: In place of a distribution's name: for what a notebook cell registered, and for a plugin loaded from a file.
SESSION = "this session"
FILE = "file"


@dataclass(frozen=True)
class Origin:
    """Where an expert comes from: the answer to "which plugin gave me this?".

    Args:
        plugin: Name of the plugin's entry point or file, or ``"this session"``.
        distribution: Who brought it: a distribution, ``"file"``, or ``"this session"``.
        version: Version of the distribution; for a file the beginning of its hash.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        if self.plugin == self.distribution:
            return self.plugin
        return f"{self.plugin} ({self.distribution} {self.version})"

    def to_dict(self) -> dict[str, str]:
        """Return the origin as JSON-able values."""
        return {"plugin": self.plugin, "distribution": self.distribution, "version": self.version}


@dataclass
class PluginRecord:
    """What became of one plugin.

    Args:
        name: Name of its entry point.
        value: The module, or the file.
        distribution: Who brought it.
        version: Version of the distribution; for a file the beginning of its hash.
        state: ``"active"``, ``"blocked"`` or ``"broken"``.
        error: One line, where it is broken.
        trace: The whole traceback, where there is one.
        hooks: Names of the hooks it implements.
        given: Names of the things it gave, by hook.
    """

    name: str
    value: str
    distribution: str
    version: str
    state: str = "active"
    error: str | None = None
    trace: str | None = None
    hooks: list[str] = field(default_factory=list)
    given: dict[str, list[str]] = field(default_factory=dict)

    @property
    def experts(self) -> list[str]:
        """Names of its experts."""
        return self.given.get("pima_experts", [])

    @property
    def origin(self) -> Origin:
        """Where its things come from; of a file only the name, since the folder is nobody else's business."""
        name = Path(self.value).name if self.distribution == FILE else self.name
        return Origin(name, self.distribution, self.version)
