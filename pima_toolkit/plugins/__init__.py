"""The hooks a plugin answers, and what the installed plugins gave."""
