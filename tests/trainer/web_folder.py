"""A web server with a folder of files, which can be made to fail in the ways of real ones."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebFolder:
    """What is served, how, and what was asked for.

    Attributes:
        files: Contents by name.
        etags: Of the files, by name; without one there is no ETag.
        ranges: Whether parts are served.
        cut_after: Bytes of an answer after which the connection breaks, for so many answers.
        cuts: How many answers break.
        asked: The Range header of each request, in order.
        address: Where it is, once it runs.
    """

    files: dict[str, bytes]
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    announce: bool = True
    cut_after: int = 0
    cuts: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@contextmanager
def serve(folder: WebFolder) -> Iterator[WebFolder]:
    """Serves it on a port of this computer's own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, folder)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    folder.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield folder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, folder: WebFolder) -> None:
    name = handler.path.rpartition("/")[2]
    wanted = handler.headers.get("Range")
    folder.asked.append((name, wanted))
    if name not in folder.files:
        handler.send_error(404)
        return
    content, etag = folder.files[name], folder.etags.get(name)
    start = 0
    if wanted and folder.ranges and handler.headers.get("If-Range", etag) == etag:
        start = int(re.findall(r"\d+", wanted)[0])
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        handler.send_response(200)
    if etag:
        handler.send_header("ETag", etag)
    if folder.announce:
        handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    body = content[start:]
    if folder.cuts > 0:
        folder.cuts -= 1
        body = body[: folder.cut_after]
    handler.wfile.write(body)
