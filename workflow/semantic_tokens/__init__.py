"""Semantic tokens: how much of a multilingual model's understanding rests on shared subword meaning."""

from importlib.metadata import PackageNotFoundError, version

try:
    #: That of the git tag, at the time of the installation.
    __version__ = version("semantic-tokens")
except PackageNotFoundError:  # as a module of another workflow, the package is not installed
    __version__ = "0+unknown"
