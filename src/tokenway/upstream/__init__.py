"""Talking to providers: connections, pools, HTTP/1.1."""
