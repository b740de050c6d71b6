"""The life of one call as a pure state machine: events in, commands out."""
