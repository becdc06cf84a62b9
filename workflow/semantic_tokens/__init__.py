"""Semantic tokens: how much multilingual models understand if similar subwords share an
embedding."""

from importlib.metadata import PackageNotFoundError, version

try:
    #: The version of the git tag at the time of the installation.
    __version__ = version("semantic-tokens")
except (
    PackageNotFoundError
):  # the package is not installed if the workflow is a module of another one
    __version__ = "0+unknown"
