"""Panels in daily use: where files go, specimens without a curve or a picture, choices of a fit that is there."""

from pima_widgets.cluster_panel import ClusterPanel
from pima_widgets.expert_panel import ExpertPanel


def test_what_is_written_is_named_with_its_full_path(digits_fit, specimens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = ClusterPanel(digits_fit, specimens)
    panel.export_button.click()
    assert f"90 specimens written to {tmp_path / 'selection.csv'}" in panel.status.value
    assert (tmp_path / "selection.csv").exists()
    law = ExpertPanel(specimens)
    law.formula.value = "a * t"
    law.save_button.click()
    assert str(tmp_path / "my_law.py") in law.status.value
    assert (tmp_path / "my_law.py").exists()
