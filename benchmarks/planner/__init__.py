"""The planner's model of serving against measurements: `python -m benchmarks.planner`."""
