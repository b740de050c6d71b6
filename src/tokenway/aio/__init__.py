"""The only place that starts tasks."""
