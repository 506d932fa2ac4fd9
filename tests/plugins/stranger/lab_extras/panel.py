"""A panel of the app; it needs the libraries of the panels, so nothing else of the package imports it."""

import ipywidgets as ipw
from pima_widgets import Panel, add_panel


@add_panel
class CountPanel(Panel):
    title = "Count"

    def __init__(self, data):
        super().__init__()
        self.children = [self.status, self.error, ipw.HTML(f"{data.sizes['specimen']} specimens")]
