"""What a fleet does with a load: time per token, time to the first, how much fits, and how sure that is."""
