"""From a folder of files to a dataset: `from_folder` reads pictures, curves and tables and says what it did."""

from .formats.curves import CurveFiles
from .formats.images import ImageFiles
from .ingest import ScalarColumns, from_folder

__all__ = ["CurveFiles", "ImageFiles", "ScalarColumns", "from_folder"]
