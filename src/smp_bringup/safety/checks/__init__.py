"""The checks, one file each; safety/__init__.py registers them."""
