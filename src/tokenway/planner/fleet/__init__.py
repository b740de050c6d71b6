"""From demand to machines and money: which replica is cheapest, how many of it in each month, and against which API."""
