"""The benchmark suite: what the gateway costs, beside nginx and its peers. Method in README.md."""
