"""From a folder of files to a dataset: `from_folder` reads pictures, curves and tables and says what it did.

Formats of one's own are read by a subclass of `ColumnReader` or `PixelReader` that a plugin gives by the hook
``pima_readers``.
"""

from ..data.reading_log import Unusable
from .formats.curves import CurveFiles
from .formats.images import ImageFiles
from .formats.reader import ColumnReader, Columns, PixelReader, Pixels
from .geometry import geometry
from .ingest import ScalarColumns, from_folder
from .overrides import remembered

__all__ = [
    "ColumnReader",
    "Columns",
    "CurveFiles",
    "ImageFiles",
    "PixelReader",
    "Pixels",
    "ScalarColumns",
    "Unusable",
    "from_folder",
    "geometry",
    "remembered",
]
