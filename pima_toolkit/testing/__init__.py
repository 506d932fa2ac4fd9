"""The conformance kit: puts the same questions to every expert, yours and ours.

In a test file of a plugin::

    from pima_toolkit.testing import parametrize_with_checks

    @parametrize_with_checks([MyExpert])
    def test_it_conforms(expert, check):
        check(expert)

and by hand ``print(check_expert(MyExpert))``. Names load on first use, so that pytest
starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import face

if TYPE_CHECKING:
    from .conformance import CHECKS, check_expert
    from .parametrize import parametrize_with_checks
    from .report import CheckResult, Outcome, Report

_HOME = {
    "CHECKS": ".conformance",
    "Outcome": ".report",
    "Report": ".report",
    "CheckResult": ".report",
    "check_expert": ".conformance",
    "parametrize_with_checks": ".parametrize",
}

__all__ = ["CHECKS", "CheckResult", "Outcome", "Report", "check_expert", "parametrize_with_checks"]

if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses what is not there
    __getattr__, __dir__ = face(__name__, _HOME, globals())
