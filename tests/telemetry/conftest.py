"""The wallboard's bench serves here too."""

from tests.mi.wallboard.conftest import bench

__all__ = ["bench"]
