"""Results of a benchmark: one JSON object a line, appended whole, never rewritten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import xarray as xr


def read(path: Path) -> list[dict]:
    """All results there are; a line that a kill left half written is taken away."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(whole, encoding="utf-8")
        temporary.replace(path)
    return [json.loads(line) for line in whole.splitlines()]


def append(path: Path, row: dict) -> None:
    """One line, in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(row) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def of_baselines(table: xr.Dataset) -> dict[str, dict[str, float]]:
    """What ``pima.baselines`` says of each method: error, share of measured points in its band in per cent, width."""
    return {
        str(name): {
            "rmse": float(table.rmse.sel(baseline=name)),
            "coverage": 100 * float(table.coverage.sel(baseline=name)),
            "band_width": float(table.band_width.sel(baseline=name)),
        }
        for name in table.baseline.values
    }
