"""The HTTP application: routes, and what stands around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.gzip import GZipMiddleware

from edge.mi import problems
from edge.mi.guard import EntityTags, Guard
from edge.mi.keeping import keep_level
from edge.mi.services import Services
from edge.mi.wallboard.board import board_of
from edge.version import VERSION

ROUTES = (
    *("health", "facts", "calls", "contacts", "callbacks", "tasks", "metrics", "gaps"),
    *("disclosures", "acknowledgements", "prometheus", "wallboard"),
)
"""Modules of `edge.mi.routes`, each with a `router`."""
SMALLEST_GZIP_BYTES = 1024
GZIP_LEVEL = 4
DESCRIPTION = """The record of a control room's 101 and 999 calls, to be pulled for years.

Every route under /v1 wants `Authorization: Bearer` and a token with the scope that it names. Errors are problem+json
(RFC 9457) and say how to mend them. Times are RFC 3339 in UTC with microseconds. docs/mi.md is the guide."""


def create_app(services: Services, routes: tuple[str, ...] = ROUTES) -> FastAPI:
    """The application over these services; it closes them when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.board = board = board_of(services)
        looking = asyncio.create_task(board.feed.run(), name="wallboard")
        stopping = asyncio.Event()
        level = asyncio.create_task(keep_level(services, stopping), name="projection")
        try:
            yield
        finally:
            stopping.set()
            await board.feed.close()
            await asyncio.wait([looking, level])
            await services.ahead.close()
            services.close()

    app = FastAPI(
        title="Edge101 MI",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from a CDN
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.services = services
    for name in routes:
        app.include_router(import_module(f"edge.mi.routes.{name}").router)
    problems.install(app)
    app.add_middleware(EntityTags)
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP_BYTES, compresslevel=GZIP_LEVEL)
    app.add_middleware(Guard, services=services)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description, with the shape of a problem that every route names."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        shapes = made.setdefault("components", {}).setdefault("schemas", {})
        problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        shapes |= problem.pop("$defs", {})
        shapes["Problem"] = problem
        app.openapi_schema = made
    return app.openapi_schema
