"""The load generators: wrk (closed loop), rate.c (open loop) and a holder of idle streams."""
