"""The application: routes, handlers and middleware around one set of components.

The caller opens and closes the components; here the background work starts with the application and stops with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from kb.api import health, reference, routes_ask, routes_collections, routes_documents, routes_search
from kb.api.errors import failures, install_error_handlers
from kb.api.security import BodyLimit, Gate
from kb.components import Components
from kb.jobs import JobWorker

DESCRIPTION = (
    "Documents go in, cited answers come out. "
    'Every error is `{"error": {"code", "message", ...}}` with a true status code.'
)
# Says in the description that a token may be needed; the gate is what checks it.
BEARER = HTTPBearer(auto_error=False, description="KB_TOKEN, where the server has one.")
MULTIPART_BYTES = 64 * 1024  # room for the boundaries and the fields around an uploaded file
OTHER_BYTES = 2 * 2**20  # any other body: a question with the longest history fits


def create_app(components: Components) -> FastAPI:
    """The ASGI application over components that are open."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        components.index.start()
        app.state.worker.start()
        try:
            yield
        finally:
            await to_thread.run_sync(app.state.worker.stop)

    token = components.settings.token.get_secret_value() if components.settings.token else None
    app = FastAPI(
        title="Knowledge base",
        version=version("kb"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=failures(401, 403, 422),
    )
    app.state.components = components
    app.state.worker = JobWorker(components)
    install_error_handlers(app)
    for routes in (routes_ask, routes_search, routes_collections, routes_documents):
        app.include_router(routes.router, dependencies=[Depends(BEARER)])
    for routes in (health, reference):
        app.include_router(routes.router)
    app.add_middleware(
        BodyLimit,
        upload_path=routes_documents.PREFIX,
        upload_bytes=(components.settings.max_upload_mb << 20) + MULTIPART_BYTES,
        other_bytes=OTHER_BYTES,
    )
    app.add_middleware(Gate, token=token)  # added last, so it stands first
    return app
