"""From an optimum to a result that can be published: errors, intervals, derived quantities, reports."""
