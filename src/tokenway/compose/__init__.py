"""The only package that names concrete classes and joins them."""
