"""The kinds of experts: formulas, torch functions, lmfit models."""
