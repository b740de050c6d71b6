"""One renderer for each wire format, written from the vendors' references and from nothing of the gateway's."""
