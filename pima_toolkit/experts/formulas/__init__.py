"""From text to compiled values and derivatives, without executing the text."""
