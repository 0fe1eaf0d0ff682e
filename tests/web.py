"""A web server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def serving(folder: Path, handler: type[BaseHTTPRequestHandler] = SimpleHTTPRequestHandler) -> Iterator[str]:
    """Answers requests meanwhile, with the files of a folder if not otherwise; gives its address."""

    class Quiet(handler):
        def log_message(self, *_: object) -> None:
            pass

    made = partial(Quiet, directory=str(folder)) if issubclass(handler, SimpleHTTPRequestHandler) else Quiet
    with ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
