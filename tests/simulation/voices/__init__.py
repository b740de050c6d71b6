"""Each dialect as a simulated provider speaks it and as a strict caller hears it; nothing here is the gateway's."""
