"""How fast demand grows, what serves it and at which price: forecasts, a model of serving, fleets, and grades.

Pure but for the data files that it ships (`data/`); the gateway's processes never import it.
"""
