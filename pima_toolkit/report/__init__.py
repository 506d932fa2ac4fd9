"""Tables and figures as pages: text, HTML, CSV, Excel."""
