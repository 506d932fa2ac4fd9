"""Results that can be published, made of an optimum: errors, intervals, derived quantities, reports."""
