"""What is served as it stands: the viewer and its files, and skill.md.

All are read once, when the process starts, so that no path from outside ever meets a file
system. They may be kept by browsers and proxies, but are asked for again (their names carry no
version): usually that is a 304.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

# Own table: what the machine's registry says (on which ``mimetypes`` relies) differs.
_CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}

# Nothing but our own files, and no inline script: what an agent says can't become code.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


@attrs.frozen
class Page:
    path: str
    content_type: str
    data: bytes
    etag: str = attrs.field(init=False)

    @etag.default
    def _etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:32]


def read_pages() -> tuple[Page, ...]:
    """Read everything that the package brings along."""
    viewer = files("gateway") / "viewer"
    skill = files("gateway.http") / "skill.md"
    return (
        Page("/", _content_type("index.html"), (viewer / "index.html").read_bytes()),
        Page("/skill.md", _content_type("skill.md"), skill.read_bytes()),
        *(
            Page(f"/viewer/{name}", _content_type(name), file.read_bytes())
            for name, file in _walk(viewer, "")
        ),
    )


def _walk(folder: Traversable, under: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{under}{entry.name}/")
        elif _suffix(entry.name) in _CONTENT_TYPES:  # Not the Python that makes it a package.
            yield under + entry.name, entry


def _content_type(name: str) -> str:
    return _CONTENT_TYPES[_suffix(name)]


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]
