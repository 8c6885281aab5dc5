"""What is let in from the network, and what goes out with every answer: the outermost part of the hub."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from mexplain.settings import limit
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.server.error_messages import error_response, log
from mexplain.ui.server.uploads import GRACE_S, STALL_S
from mexplain.ui.text import WORDS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# All that the page, gradio_client and MCP clients ask for. Gradio has more doors than these.
_OPEN = re.compile(
    r"/|/config/?|/(assets|static|svelte)/.+|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?"
    r"|/gradio_api/(info/?|openapi\.json|theme\.css|app_id/?|startup-events|queue/(join|data|status)|upload"
    r"|upload_progress|heartbeat/[\w-]{1,64}|cancel|reset/?|call/(v2/)?\w{1,40}(/\w{1,64})?/?|file=(?!https?:).+"
    r"|mcp(/.*)?)"
)
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([\w-]+)")
_MESSAGE = 4_000_000  # bytes; what is no upload is far smaller
_MB = 1_000_000
# Over MCP, a clip is held in memory as a whole.
_MCP_MB = 32

# Gradio's page has scripts and styles in it, and makes functions of texts; but it may talk to nobody else.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
# What else is sent runs nothing, should anyone open it as a page.
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=(), display-capture=()",
}


class TooMuchError(Exception):
    """More was sent than may be."""


class RequestMiddleware:
    """Lets in what the hub needs, in sizes it can bear; makes sentences of failures; counts who is there."""

    def __init__(self, app: Any, page: HubBlocks) -> None:
        self.app, self.page = app, page

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # nothing here speaks it
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Message, receive: Receive, send: Send) -> None:
        path, started, ended = scope["path"], False, False

        async def framed(message: Message) -> None:
            nonlocal started, ended
            if message["type"] == "http.response.start":
                started = True
                _add_headers(path, MutableHeaders(scope=message))
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async def refuse(status: int, words: str) -> None:
            if not started:
                # Both names under which clients of Gradio look for it.
                await JSONResponse({"detail": words, "error": words}, status)(scope, receive, framed)
            elif not ended:
                await framed({"type": "http.response.body", "body": b""})

        if not _OPEN.fullmatch(path):
            await refuse(404, WORDS["no_door"])
            return
        try:
            async with self._measured(scope, receive) as measured, self._counted(path):
                await self.app(scope, measured, framed)
        except TooMuchError as error:
            await refuse(413, str(error))
        except ClientDisconnect:
            pass
        except TimeoutError:
            await refuse(408, WORDS["stalled"])
        except HTTPException as error:
            await refuse(error.status_code, str(error.detail))
        except Exception as error:
            log(error)
            await refuse(*error_response(error))

    @asynccontextmanager
    async def _measured(self, scope: Message, receive: Receive) -> AsyncIterator[Receive]:
        """Give what passes on what is sent, until it is too much or stops coming."""
        path, uploading = scope["path"], scope["path"] == "/gradio_api/upload"
        length = Headers(scope=scope).get("content-length", "")
        said = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
        most, words = _MESSAGE, WORDS["too_long"]
        if path.startswith("/gradio_api/mcp"):
            most = min(limit("file_mb"), _MCP_MB) * _MB * 4 // 3  # clips come as text there
        elif uploading:
            most, words = await asyncio.to_thread(self.page.uploads.room, said), WORDS["no_room"]
        if said > most or (uploading and most == 0):
            raise TooMuchError(words)
        came, done = 0, False

        async def measured() -> Message:
            nonlocal came, done
            if done:
                return await receive()  # waits for the client to hang up
            message = await asyncio.wait_for(receive(), STALL_S)
            came += len(message.get("body", b""))
            done = not message.get("more_body", False)
            if came > most:
                raise TooMuchError(words)
            return message

        self.page.uploads.arriving(said if uploading else 0)
        try:
            yield measured
        finally:
            self.page.uploads.arriving(-said if uploading else 0)

    @asynccontextmanager
    async def _counted(self, path: str) -> AsyncIterator[None]:
        """Count a visitor as there while their page's heartbeat lasts, and a little longer."""
        found = _HEARTBEAT.fullmatch(path)
        if found is None:
            yield
            return
        visits, session = self.page.uploads, found[1]
        visits.came(session)
        try:
            yield
        finally:
            if visits.went(session):
                self._see_out(session)

    def _see_out(self, session: str) -> None:
        """Forget a visitor once they do not come back, and nothing is worked out for them any more."""

        def forget() -> None:
            if session in self.page._queue.busy():
                self._see_out(session)
            else:
                self.page.uploads.end(session)

        asyncio.get_running_loop().call_later(GRACE_S, forget)


def _add_headers(path: str, headers: MutableHeaders) -> None:
    for name, value in _ALWAYS.items():
        headers[name] = value
    # Scripts that run beside the page bring its policy along; what visitors brought and were given has another.
    headers["Content-Security-Policy"] = _FILE_POLICY if "/file=" in path else _PAGE_POLICY
    if path.startswith("/gradio_api/") and "/pictures/" not in path and "/samples/" not in path:
        headers["Cache-Control"] = "no-store"
