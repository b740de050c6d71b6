"""The control plane: configuration, the store, the workers, the metrics."""
