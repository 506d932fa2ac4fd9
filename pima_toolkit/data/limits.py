"""What a file may cost: limits that are looked at before it is read, and the sentence for one that is beyond them.

A small file may announce terabytes, or inflate to them. What it announces is compared with what is usual in a
laboratory and with what it holds; whoever trusts a larger one raises the limits by a factor.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable

from ..errors import OptionError, PimaError

#: Members of an archive.
MOST_MEMBERS = 10_000
#: Bytes of an archive when inflated.
MOST_INFLATED = 400_000_000
#: What inflates to more than this many bytes may do so by the factor below only, as numbers and texts do.
INFLATED_UNASKED = 32_000_000
#: Largest factor by which something is inflated.
MOST_INFLATION = 100.0


def check_factor(limits: float) -> float:
    """Check a factor on the limits.

    Args:
        limits: As the user gives it.

    Raises:
        OptionError: If it is no finite number of at least 1.
    """
    if isinstance(limits, bool) or not isinstance(limits, int | float) or not 1.0 <= limits < math.inf:
        raise OptionError(f"limits is {limits!r}, expected a factor on what a file may hold, a number of at least 1")
    return float(limits)


def check_limit(
    found: float,
    most: float,
    what: str,
    error: type[PimaError],
    *,
    limits: float = 1.0,
    option: str = "",
    file: str = "",
) -> None:
    """Refuse a file that holds, or announces, too much.

    Args:
        found: How much there is.
        most: How much is read where nothing was said.
        what: What is counted, in the plural: ``"cells"``.
        error: The error to raise.
        limits: The user's factor on ``most``.
        option: How the user raises the limits, with ``{}`` for the factor; empty where nothing does.
        file: The file, where the sentence is to begin with it.

    Raises:
        error: If there is more than ``most`` times ``limits``.
    """
    if found <= most * limits:
        return
    way = f"make it smaller, or raise the limits if you trust it, {option.format(math.ceil(found / most))}"
    much = f"{file} holds or announces {_shown(found)} {what}".lstrip()
    raise error(f"{much}, more than the {_shown(most * limits)} that are read: {way if option else 'make it smaller'}")


def check_archive(archive: zipfile.ZipFile, size: int, check: Callable[[float, float, str], None]) -> None:
    """Refuse a zip archive that is large when inflated, or inflates by more than numbers and texts do.

    Args:
        archive: Opened; its directory alone is looked at, and no more than it announces is ever inflated.
        size: Bytes of the file.
        check: `check_limit` with the error to raise and how the user raises the limits.
    """
    members = archive.infolist()
    check(len(members), MOST_MEMBERS, "files in one archive")
    inflated = sum(member.file_size for member in members)
    check(inflated, MOST_INFLATED, "bytes when inflated")
    check_inflation(inflated, size, check)


def check_inflation(
    inflated: float,
    size: int,
    check: Callable[[float, float, str], None],
    *,
    unasked: float = INFLATED_UNASKED,
    most: float = MOST_INFLATION,
) -> None:
    """Refuse a file that takes far more memory than what it holds says.

    Args:
        inflated: Bytes that it takes in memory.
        size: Bytes on disk.
        check: As in `check_archive`.
        unasked: Bytes in memory up to which nothing is asked.
        most: Largest factor beyond.
    """
    if inflated > unasked:
        check(inflated / max(size, 1), most, f"bytes when inflated for each of its {_shown(size)} bytes")


def _shown(number: float) -> str:
    """A count for people: in millions where there are many."""
    return f"{number / 1e6:,.4g} million" if number >= 1e6 else f"{number:,.0f}"
