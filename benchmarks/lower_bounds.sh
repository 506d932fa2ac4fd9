#!/usr/bin/env bash
# Are the lower bounds of pyproject.toml true? Installs exactly them in a fresh environment of the oldest Python and runs
# a fit and the quick tests of the core. Not in every CI run: it downloads an old torch, some gigabytes.
#
#   benchmarks/lower_bounds.sh [PYTHON [PYTEST ARGUMENTS ...]]
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-python3.11}"
shift || true
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Each ">=" of what the core needs is "==" here; the tools of the tests may be of any age.
"$python" - > "$scratch/oldest.txt" <<'PYTHON'
import pathlib, tomllib
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
used = [line for line in extras["test"] if line.startswith(("torchdiffeq", "statsmodels"))]
for line in [*project["dependencies"], *extras["zarr"], *used]:
    print(line.replace(">=", "=="))
PYTHON
cat "$scratch/oldest.txt"
"$python" -m venv "$scratch/venv"
pip="$scratch/venv/bin/python -m pip"
$pip install -q -r "$scratch/oldest.txt" "pytest>=8.3" "pytest-xdist>=3.6" "hypothesis>=6.100"
$pip install -q --no-deps . plugins/pima-plugin-example
$pip check

export OMP_NUM_THREADS=1
(cd "$scratch" && venv/bin/python "$OLDPWD/tests/smoke.py")
# Old libraries warn of each other: here only what fails is an error.
core=(tests/test_units.py tests/data tests/experts tests/model tests/fitting tests/answers tests/metrics tests/api)
"$scratch/venv/bin/python" -m pytest -W default -m "not slow" -n auto --dist loadfile "${@:-"${core[@]}"}"
echo "the lower bounds hold"
