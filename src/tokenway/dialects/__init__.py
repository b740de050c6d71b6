"""Wire formats of the providers, and the table of providers; pure."""
