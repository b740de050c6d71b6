"""The routing benchmark: policies that choose an endpoint, compared on the same simulated fleets."""
