"""What pytest finds of itself where pima_toolkit is installed; importing it loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pima_toolkit as pima

from ..errors import require

if TYPE_CHECKING:
    from ..experts import Manager

pytest = require("pytest", "conformance tests")


@pytest.fixture
def pima_pm() -> Iterator[Manager]:
    """A manager that discovers nothing, the session's own for one test: register in it what the test needs."""
    manager = pima.experts.Manager([], strict=True)
    with pima.experts.use_manager(manager):
        yield manager
