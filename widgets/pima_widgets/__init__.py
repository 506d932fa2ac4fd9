"""Notebook panels for pima_toolkit: a place for them; this version holds none yet.

The toolkit never imports this package. Panels will draw the xarray datasets that a fit returns and use public names of
``pima_toolkit`` only.
"""
