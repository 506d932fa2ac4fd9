"""Options of every command that reads a folder of files, told once: `with_reading` adds them to a command."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any

from ..errors import require
from .options import named

typer = require("typer", "the command line")

_PANEL = "Reading of a folder"


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_PANEL, **more)


def _arguments(
    table: Annotated[
        list[str] | None, _option("--table", help="CSV or Excel file, one row per specimen; several are joined.")
    ] = None,
    no_table: Annotated[bool, _option("--no-table", help="Do not look for a table in the folder.")] = False,
    image_size: Annotated[str | None, _option("--image-size", help="HEIGHTxWIDTH in pixels, or a side: 64x64.")] = None,
    image_fit: Annotated[
        str | None, _option("--image-fit", help="What is done to pictures of another shape: cut, pad or stretch.")
    ] = None,
    grey: Annotated[bool | None, _option("--grey/--colour", help="Grey or colour pictures.")] = None,
    crop: Annotated[str | None, _option("--crop", help="TOP,BOTTOM,LEFT,RIGHT to cut: pixels or shares.")] = None,
    bits: Annotated[int | None, _option("--bits", help="Depth of a camera in files of 16 bits, such as 12.")] = None,
    sheet: Annotated[str | None, _option("--sheet", help="Sheet of the workbooks: name, or number from 0.")] = None,
    part: Annotated[
        str | None, _option("--part", help="Table in files that hold several: title, or number from 0.")
    ] = None,
    specimens: Annotated[
        str | None, _option("--specimens", help="Several in a file: sheets, blocks, rows, columns or long.")
    ] = None,
    x: Annotated[str | None, _option("--x", help="Column of x: name, or number from 0.")] = None,
    y: Annotated[str | None, _option("--y", help="Column of y: name, or number from 0.")] = None,
    curve_grid: Annotated[int | None, _option("--curve-grid", help="Points of a grid for all curves.")] = None,
    window: Annotated[str | None, _option("--window", help="LOWER,UPPER x of the curves, or common.")] = None,
    zero: Annotated[str | None, _option("--zero", help="toe or preload: correct the foot of the curves.")] = None,
    geometry: Annotated[
        bool, _option("--geometry", help="Force and extension to stress and strain, by area and gauge length.")
    ] = False,
    dimension: Annotated[
        list[str] | None,
        _option("--dimension", metavar="NAME=COLUMN", help="For --geometry: area=A0, or a value, 'width=6 mm'."),
    ] = None,
    true: Annotated[str | None, _option("--true", help="tension or compression: true stress and strain.")] = None,
    unit: Annotated[list[str] | None, _option("--unit", help="NAME=UNIT, wanted and where none is stated.")] = None,
) -> dict[str, Any]:
    """Arguments of `pima.from_folder`; only what was asked for."""
    images = {
        "size": None if image_size is None else _square(_numbers(image_size, "x", "--image-size", "64x64", int)),
        "fit": image_fit,
        "grey": grey,
        "bits": bits,
        "crop": None if crop is None else _numbers(crop, ",", "--crop", "0,40,0,0", float),
    }
    curves = {
        "x": _column(x),
        "y": _column(y),
        "sheet": _column(sheet),
        "table": _column(part),
        "specimens": specimens,
        "grid": curve_grid,
        "window": window if window in (None, "common") else _numbers(window, ",", "--window", "0,0.2", float),
        "zero": zero,
        "geometry": named(dimension, "--dimension", "area=A0") or geometry or None,
        "true": true,
        "units": named(unit, "--unit", "stress=MPa") or None,
    }
    out: dict[str, Any] = {}
    for key, given in (("images", images), ("curves", curves)):
        asked = {name: value for name, value in given.items() if value is not None}
        out |= {key: asked} if asked else {}
    if table or no_table:
        out["table"] = (table if len(table) > 1 else table[0]) if table else False
    return out


def with_reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of reading to a command, which takes what they say as its argument ``reading``."""
    shared, own = inspect.signature(_arguments), inspect.signature(command)
    hints = {**typing.get_type_hints(_arguments, include_extras=True)}
    hints |= typing.get_type_hints(command, include_extras=True)

    def called(**values: Any) -> None:
        reading = _arguments(**{name: values.pop(name) for name in shared.parameters})
        command(**values, reading=reading)

    kept = [p for p in own.parameters.values() if p.name != "reading"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    every = [p.replace(kind=keyword, annotation=hints[p.name]) for p in (*kept, *shared.parameters.values())]
    # What has no default stands first, as in a signature that is written down.
    every.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    called.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in every}
    called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
    return called


def _square(size: list) -> list:
    """Height and width, of which one may stand for both."""
    return size * 2 if len(size) == 1 else size


def _numbers(text: str, sign: str, option: str, example: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.lower().split(sign)]
    except ValueError:
        raise typer.BadParameter(f"{option} {text!r}: expected numbers, such as {option} {example}") from None


def _column(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdigit() else text
