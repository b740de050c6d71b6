"""What a format of numbers costs in accuracy: emulated bit by bit, applied to real weights, read off real answers."""
