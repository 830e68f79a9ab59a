"""The version of this package, which nothing else need be imported for."""

__version__ = "0.1.0.dev0"
