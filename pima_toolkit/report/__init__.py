"""Tables and figures as pages: text, HTML, CSV, Excel.

The room sees findings, plain tables and sentences, and lays them out. These names are for a section of your own, see
``sections``.
"""

from ..data import population_names
from ..drawing import COLOURS, MARKERS
from .findings import DescribedCurves, Findings, HowMade, ModalityFindings, PredictedCurves
from .page import Picture, Section, Table, TypesetLaw

__all__ = [
    "COLOURS",
    "MARKERS",
    "DescribedCurves",
    "Findings",
    "HowMade",
    "ModalityFindings",
    "Picture",
    "PredictedCurves",
    "Section",
    "Table",
    "TypesetLaw",
    "population_names",
]
