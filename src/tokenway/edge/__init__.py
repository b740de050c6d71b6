"""The data plane: from a client socket to an exchange and back."""
