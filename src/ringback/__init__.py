"""A callback for every API that makes you poll."""

__version__ = "0.1.0"
