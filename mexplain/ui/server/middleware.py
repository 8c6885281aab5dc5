"""The outermost part of the hub: which requests are let in, how large, and which headers go out with each answer."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from mexplain.language.current import chosen_language, using_language
from mexplain.language.message import say
from mexplain.settings import limit
from mexplain.ui.server.blocks import HubBlocks
from mexplain.ui.server.error_messages import error_response
from mexplain.ui.server.logs import LOG
from mexplain.ui.server.uploads import GRACE_S, STALL_S
from mexplain.ui.text import WORDS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# All that the page, gradio_client and MCP clients ask for. Gradio serves more routes than these.
_ALLOWED_PATH = re.compile(
    r"/|/config/?|/(assets|static|svelte)/.+|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?"
    r"|/gradio_api/(info/?|openapi\.json|theme\.css|app_id/?|startup-events|queue/(join|data|status)|upload"
    r"|upload_progress|heartbeat/[\w-]{1,64}|cancel|reset/?|call/(v2/)?\w{1,40}(/\w{1,64})?/?|file=(?!https?:).+"
    r"|mcp(/.*)?)"
)
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([\w-]+)")
_MB = 1_000_000
_MAX_MESSAGE = 4 * _MB  # bytes of a request that is no upload
# Over MCP, a clip is held in memory as a whole.
_MAX_MCP_MB = 32

# Gradio's page has scripts and styles in it, and makes functions of texts; but it may talk to nobody else.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
# Visitors' files run nothing, should anyone open them as a page.
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=(), display-capture=()",
}


class TooMuchError(Exception):
    """A request's body is larger than allowed."""


class RequestMiddleware:
    """ASGI middleware: refuses unknown paths and large bodies, turns errors into sentences, counts connections."""

    def __init__(self, app: Any, page: HubBlocks) -> None:
        self.app, self.page = app, page

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # the hub has no websockets
        else:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            with using_language(chosen_language(query, Headers(scope=scope).get("accept-language", ""))):
                await self._handle(scope, receive, send)

    async def _handle(self, scope: Message, receive: Receive, send: Send) -> None:
        path, started, ended = scope["path"], False, False

        async def send_with_headers(message: Message) -> None:
            nonlocal started, ended
            if message["type"] == "http.response.start":
                started = True
                _add_headers(path, MutableHeaders(scope=message))
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        async def refuse(status: int, sentence: str) -> None:
            sentence = say(sentence)
            if not started:
                # Both names under which clients of Gradio look for it.
                await JSONResponse({"detail": sentence, "error": sentence}, status)(scope, receive, send_with_headers)
            elif not ended:
                await send_with_headers({"type": "http.response.body", "body": b""})

        if not _ALLOWED_PATH.fullmatch(path):
            await refuse(404, WORDS["no_door"])
            return
        try:
            async with self._size_limited(scope, receive) as limited_receive, self._connection_counted(path):
                await self.app(scope, limited_receive, send_with_headers)
        except TooMuchError as error:
            await refuse(413, str(error))
        except ClientDisconnect:
            pass
        except TimeoutError:
            await refuse(408, WORDS["stalled"])
        except HTTPException as error:
            await refuse(error.status_code, str(error.detail))
        except Exception as error:
            LOG.error("A request failed", exc_info=error)
            await refuse(*error_response(error))

    @asynccontextmanager
    async def _size_limited(self, scope: Message, receive: Receive) -> AsyncIterator[Receive]:
        """Give a ``receive`` that raises ``TooMuchError`` past the limit, ``TimeoutError`` where the body stalls."""
        path, is_upload = scope["path"], scope["path"] == "/gradio_api/upload"
        header = Headers(scope=scope).get("content-length", "")
        declared = int(header) if header.isascii() and header.isdigit() and len(header) < 16 else 0
        max_bytes, sentence = _MAX_MESSAGE, WORDS["too_long"]
        if path.startswith("/gradio_api/mcp"):
            max_bytes = min(limit("file_mb"), _MAX_MCP_MB) * _MB * 4 // 3  # clips come as base64 there
        elif is_upload:
            max_bytes, sentence = await asyncio.to_thread(self.page.uploads.free_bytes, declared), WORDS["no_room"]
        if declared > max_bytes or (is_upload and max_bytes == 0):
            raise TooMuchError(say(sentence))
        received, done = 0, False

        async def limited_receive() -> Message:
            nonlocal received, done
            if done:
                return await receive()  # waits for the client to hang up
            message = await asyncio.wait_for(receive(), STALL_S)
            received += len(message.get("body", b""))
            done = not message.get("more_body", False)
            if received > max_bytes:
                raise TooMuchError(say(sentence))
            return message

        self.page.uploads.add_incoming(declared if is_upload else 0)
        try:
            yield limited_receive
        finally:
            self.page.uploads.add_incoming(-declared if is_upload else 0)

    @asynccontextmanager
    async def _connection_counted(self, path: str) -> AsyncIterator[None]:
        """Count a visitor as present while their page's heartbeat lasts, and a grace period longer."""
        heartbeat = _HEARTBEAT.fullmatch(path)
        if heartbeat is None:
            yield
            return
        uploads, session = self.page.uploads, heartbeat[1]
        uploads.connect(session)
        try:
            yield
        finally:
            if uploads.disconnect(session):
                self._remove_later(session)

    def _remove_later(self, session: str) -> None:
        """Remove a visitor once they have not come back and no event of theirs waits or runs."""

        def remove() -> None:
            if session in self.page.event_queue.sessions():
                self._remove_later(session)
            else:
                self.page.uploads.remove_visitor(session)

        asyncio.get_running_loop().call_later(GRACE_S, remove)


def _add_headers(path: str, headers: MutableHeaders) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    # Scripts that run beside the page bring its policy along; visitors' files have another.
    headers["Content-Security-Policy"] = _FILE_POLICY if "/file=" in path else _PAGE_POLICY
    if path.startswith("/gradio_api/") and "/pictures/" not in path and "/samples/" not in path:
        headers["Cache-Control"] = "no-store"
