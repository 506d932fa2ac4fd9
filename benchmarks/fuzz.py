"""Damaged and hostile input at the public doors, seeded: an error raised on purpose or a right answer, each cheap.

    python benchmarks/fuzz.py files 10000 --seed 1

opens so many damaged files (``files``), saved fits (``fits``) or reads so many formulas (``formulas``) in this process
and prints as JSON: how many were read and refused, what crashed, the slowest in seconds, the memory that was added in
MB. One in twenty is left whole, and must be read to the values that were written. A loop that hangs ends the process.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import random
import re
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import pima_toolkit as pima

#: Seconds after which one input has hung.
HANGS = 60
#: Control signs that no message may hold.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
X = np.linspace(0.0, 0.4, 15)
Y = np.round(100.0 * X + 3.0, 3)


def most_held() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Wrong(Exception):
    """What was read is not what was written, or cannot be."""


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes with a few of them cut, doubled, swapped, replaced by what often breaks readers."""
    out = bytearray(content)
    tokens = [
        b"\0",
        b"\xff",
        b"\n",
        b"\r",
        b";",
        b",",
        b'"',
        b"nan",
        b"1e999",
        b"-",
        b"9" * 400,
        b"(",
        b"[",
        b"\x1b[31m",
        b"%",
    ]
    tokens += [
        "²".encode(),
        "١٢".encode(),
        b"\xef\xbb\xbf",
        b"'",
        b"=1+1",
        b"\\",
        b"{",
        b"##",
        b"e",
        b":",
        b"1.2.3",
        b"$$",
    ]
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, length = rng.randrange(len(out) + 1), min(rng.choice((1, 1, 4, 40)), len(out))
        kind = rng.randrange(7)
        if kind == 0:
            out[at : at + length] = b""
        elif kind == 1:
            out[at:at] = rng.choice(tokens) * rng.choice((1, 1, 1, 3, 300))
        elif kind == 2:
            out[at : at + length] = bytes(rng.randrange(256) for _ in range(length))
        elif kind == 3:
            out[at:at] = out[at : at + 60] * rng.choice((1, 2, 50))
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            first = rng.choice((b";", b",", b".", b"\n", b" ", b"1", b"["))
            out = bytearray(bytes(out).replace(first, rng.choice(tokens), rng.choice((1, 3, -1))))
        elif out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
    return bytes(out)


def wholes() -> dict[str, bytes]:
    """A good file of every format, all of the same curve or picture."""
    rows = list(zip(X.tolist(), Y.tolist(), strict=True))
    german = "".join(f"{x:.4f};{y:.3f}\n" for x, y in rows).replace(".", ",")
    out = {
        "a.csv": "Time [s],Stress [MPa]\n" + "".join(f"{x!r},{y!r}\n" for x, y in rows),
        "b.csv": "Prüfung;3\nZeit;Spannung\ns;MPa\n" + german,
        "c.txt": "# made by hand\n# time/s stress/MPa\n" + "".join(f"{x:.6f}\t{y:.6f}\n" for x, y in rows),
        "d.dat": "START\n" + "".join(f"{x:.6e}   {y:.6e}\n" for x, y in rows) + "END\n",
        "e.jdx": "##TITLE=a\n##XUNITS=SECONDS\n##YUNITS=MPA\n##NPOINTS=15\n##XYPOINTS=(XY..XY)\n"
        + "".join(f"{x!r},{y!r}\n" for x, y in rows)
        + "##END=\n",
    }
    made = {name: text.encode() for name, text in out.items()}
    buffer = io.BytesIO()
    np.save(buffer, np.column_stack([X, Y]))
    made["f.npy"] = buffer.getvalue()
    import openpyxl
    from PIL import Image

    book = openpyxl.Workbook()
    for row in [("Time [s]", "Stress [MPa]"), *rows]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    made["g.xlsx"] = buffer.getvalue()
    picture = Image.fromarray((np.arange(48).reshape(6, 8) * 5).astype(np.uint8))
    for name in ("h.png", "i.tif", "j.jpg", "k.bmp"):
        buffer = io.BytesIO()
        picture.save(buffer, {"tif": "TIFF", "jpg": "JPEG"}.get(name[2:], name[2:].upper()))
        made[name] = buffer.getvalue()
    return made


def check_file(data: object, name: str, whole: bool) -> None:
    """Whether a dataset can be one, and of a whole file whether it is what was written."""
    values = next(iter(data.data_vars.values())).values
    if values.dtype.kind != "f" or np.isinf(values).any() or data.sizes["specimen"] < 1:
        raise Wrong(f"{name}: {values.dtype} {values.shape}")
    if len(pima.reading_log(data)) < 1:
        raise Wrong(f"{name}: no entry in the reading log")
    pima.summary(data)
    if whole and name[2:] in ("csv", "txt", "dat", "npy", "xlsx", "jdx") and not np.allclose(values[0], Y, atol=1e-6):
        raise Wrong(f"{name}: read as {values[0]}")
    if whole and name[2:] in ("png", "tif", "bmp"):
        np.testing.assert_allclose(values[0], np.arange(48).reshape(6, 8) * 5 / 255, atol=1e-6)


def files(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object], bool]]:
    """Damaged files, each alone in its folder."""
    good = wholes()
    options = {"f.npy": {"modalities": {"stress": {"kind": "curves", "files": "*.npy"}}}}
    while True:
        name = rng.choice(list(good))
        whole = rng.random() < 0.05
        content = good[name] if whole else mutated(good[name], rng)
        if name == "g.xlsx" and not whole and rng.random() < 0.7:  # within the archive, or nothing is left of it
            content = rezipped(good[name], rng)
        for old in folder.iterdir():
            old.unlink()
        (folder / name).write_bytes(content)

        def read(name: str = name, whole: bool = whole) -> None:
            check_file(pima.from_folder(folder, progress=False, **options.get(name, {})), name, whole)

        yield f"{name} {content[:200]!r}", read, whole


def rezipped(content: bytes, rng: random.Random) -> bytes:
    """An archive with one member damaged, renamed, or left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    kind = rng.randrange(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members["../" + name] = members.pop(name)
    elif name.endswith(".json") and kind < 7:
        members[name] = hostile_json(members[name], rng)
    else:
        members[name] = mutated(members[name], rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return buffer.getvalue()


def difference(good: bytes, content: bytes) -> str:
    """Where the texts of two saved fits first differ, to tell a case by."""
    try:
        one, other = (zipfile.ZipFile(io.BytesIO(c)).read("about.json").decode() for c in (good, content))
        one, other = (json.dumps(json.loads(text)) for text in (one, other))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return "what cannot be read"
    at = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return "nothing" if at is None else f"{one[max(at - 60, 0) : at + 20]!r} -> {other[at : at + 60]!r}"


def hostile_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON text with one value anywhere replaced by what does not belong there."""
    root = json.loads(content)
    places: list[tuple[dict | list, str | int]] = []

    def walk(node: object) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            places.append((node, key))
            walk(value)

    walk(root)
    holder, key = rng.choice(places)
    if rng.random() < 0.15 and isinstance(holder, dict):
        del holder[key]
    else:
        strange = [
            None,
            True,
            -1,
            0,
            10**9,
            10**400,
            1e308,
            float("nan"),
            "",
            "x" * 300,
            "\x1b[2J",
            [],
            {},
            [[]],
            {"a": 1},
        ]
        holder[key] = rng.choice([*strange, "../../up", [10**7], "learned", 3, 2.5, "9**9**9", ["stress"] * 3])
    return json.dumps(root).encode()


def fits(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object], bool]]:
    """Damaged saved fits."""
    import xarray as xr

    k = np.arange(12)[:, None]
    y = (100.0 + 50.0 * (k % 2)) * X + 0.1 * np.sin(7 * k + 20 * X)
    data = xr.Dataset({"stress": (("specimen", "time"), y, {"units": "MPa"})}, {"time": X})
    made = pima.PIMA({"stress": pima.Physics("affine")}, clusters=2, latent_dim=2).fit(data, epochs=1, progress=False)
    path = folder / "a.pima"
    made.save(path)
    good = path.read_bytes()
    while True:
        whole = rng.random() < 0.05
        content = good if whole else rezipped(good, rng) if rng.random() < 0.8 else mutated(good, rng)
        path.write_bytes(content)
        about = f"{len(content)} bytes, about.json differs in {difference(good, content)}"

        def read(whole: bool = whole) -> None:
            fit = pima.load(path)
            values = fit.parameters["value"].values
            if values.shape != made.parameters["value"].shape:
                raise Wrong(f"parameters of shape {values.shape}")
            if whole and not np.array_equal(values, made.parameters["value"].values):
                raise Wrong("other parameters than were saved")
            repr(fit)

        yield about, read, whole


def formulas(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object], bool]]:  # noqa: ARG001
    """Formulas, good ones damaged and garbage of the grammar's own signs."""
    import torch

    good = {
        "a*x + b": lambda x, a, b: a * x + b,
        "a*exp(-x/tau)": lambda x, a, tau: a * np.exp(-x / tau),
        "a*min(x, b) + c*max(x - b, 0)": lambda x, a, b, c: a * np.minimum(x, b) + c * np.maximum(x - b, 0),
        "where(x < b, a*x, c*x**2)": lambda x, a, b, c: np.where(x < b, a * x, c * x**2),
        "a*sqrt(abs(x - b)) + erf(x)": None,
    }
    words = [
        "x",
        "a",
        "b",
        "+",
        "-",
        "*",
        "/",
        "**",
        "^",
        "(",
        ")",
        ",",
        "exp",
        "log(",
        "where(",
        "min(",
        "1e9",
        "0",
        ".5",
        "<",
        ">=",
    ]
    words += [
        "and",
        "or",
        "if",
        "else",
        "pi",
        "sqrt(",
        "erf(",
        "2",
        "9**9**9",
        "_",
        "__import__",
        "lambda",
        "'",
        "\\",
        "²",
        "∞",
        "a.b",
        "[",
        "]",
        "!",
    ]
    x = np.linspace(0.1, 1.0, 7)
    while True:
        whole, text = rng.random() < 0.05, rng.choice(list(good))
        expected = good[text] if whole else None
        if not whole and rng.random() < 0.5:
            text = "".join(rng.choice(words) for _ in range(rng.choice((3, 8, 20, 200))))
        elif not whole:
            text = mutated(text.encode(), rng).decode("utf-8", "replace")

        def read(text: str = text, expected: Callable | None = expected) -> None:
            expert = pima.SympyExpert(text, t="x")
            theta = np.linspace(0.5, 0.9, len(expert.parameters))
            with np.errstate(all="ignore"):
                y = expert.predict(torch.as_tensor(x), torch.as_tensor(theta)).numpy()
            if y.shape != x.shape:
                raise Wrong(f"values of shape {y.shape}")
            if expected is not None:
                by_name = dict(zip((p.name for p in expert.parameters), theta, strict=True))
                np.testing.assert_allclose(y, expected(x, **by_name), rtol=1e-12)
            repr((expert.latex, expert))

        yield repr(text), read, whole


KINDS = {"files": files, "fits": fits, "formulas": formulas}


def fuzz(kind: str, number: int, seed: int) -> dict[str, object]:
    """So many inputs of a kind: what became of them."""
    out: dict[str, object] = {"read": 0, "refused": 0}
    crashes, slowest, largest, before = [], (0.0, ""), (0.0, ""), 0.0
    with tempfile.TemporaryDirectory() as folder:
        inputs = KINDS[kind](random.Random(seed), Path(folder))  # noqa: S311 - no secret
        for k in range(number):
            about, read, whole = next(inputs)
            if k == 10:  # what every input loads has been loaded
                before = most_held()
            faulthandler.dump_traceback_later(HANGS, exit=True)
            start, held = time.process_time(), most_held()
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", pima.PimaWarning)
                try:
                    read()
                    out["read"] += 1
                    said = ""
                except pima.PimaError as error:
                    out["refused"] += 1
                    said = str(error)
                    if whole or len(said) > 3000 or not said:
                        crashes.append(
                            f"{about}: {'whole, and refused: ' if whole else ''}{len(said)} letters, {said[:200]}"
                        )
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    frame = traceback.extract_tb(error.__traceback__)[-1]
                    crashes.append(f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno}) {about}"[:600])
                    said = ""
            if CONTROL.search(" ".join([said, *(str(w.message) for w in told)])):
                crashes.append(f"{about}: control signs in a message")
            if k >= 10:
                slowest = max(slowest, (time.process_time() - start, about[:300]))
                largest = max(largest, (most_held() - held, about[:300]))
    faulthandler.cancel_dump_traceback_later()
    return out | {"crashes": crashes, "slowest": slowest, "largest": largest, "added_MB": most_held() - before}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(fuzz(asked.kind, asked.number, asked.seed), indent=1) + "\n")
