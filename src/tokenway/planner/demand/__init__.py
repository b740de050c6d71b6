"""How fast demand for tokens grows: which curve it follows, how long it takes to double, and what to expect.

The method, its formulas and its limits: docs/planner/demand.md.
"""
