"""`/wallboard`: pages for people (`edge.mi.wallboard`)."""

from edge.mi.wallboard.routes import router

__all__ = ["router"]
