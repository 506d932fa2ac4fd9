"""The search of the guide runs as printed, and goes on where it was stopped."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "search.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of optuna, and of fits of two epochs
def test_a_search_is_resumed(tmp_path, monkeypatch):
    optuna = pytest.importorskip("optuna", reason="pip install optuna")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for _ in range(2):
        names = {"__name__": "search"}
        exec(compile(program, str(PAGE), "exec"), names)  # noqa: S102 - the page itself, as printed
    study = optuna.load_study(study_name="lattice", storage="sqlite:///search.db")
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert all(trial.state.name == "COMPLETE" for trial in study.trials)
    assert study.best_value == min(trial.value for trial in study.trials) > 0
