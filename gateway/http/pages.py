"""What is served as it stands: the viewer, the operators' page, their files, and skill.md.

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

_HTML = _CONTENT_TYPES["html"]

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


# Of a page with a token that can do much: nor anything else, nor a way to make code of text.
CONSOLE_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)


@attrs.frozen
class Page:
    """``policy`` is the content security policy of a page that is looked at, "" of what is not."""

    path: str
    content_type: str
    data: bytes
    policy: str = ""
    etag: str = attrs.field(init=False)

    @etag.default
    def _etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:32]


def read_pages() -> tuple[Page, ...]:
    """Read everything that the package brings along."""
    viewer, console = files("gateway") / "viewer", files("gateway") / "console"
    skill = files("gateway.http") / "skill.md"
    return (
        Page("/", _HTML, (viewer / "index.html").read_bytes(), CONTENT_SECURITY_POLICY),
        Page("/ops/", _HTML, (console / "index.html").read_bytes(), CONSOLE_SECURITY_POLICY),
        Page("/skill.md", _content_type("skill.md"), skill.read_bytes()),
        *_files("/viewer/", viewer, CONTENT_SECURITY_POLICY),
        *_files("/console/", console, CONSOLE_SECURITY_POLICY),
    )


def _files(path: str, folder: Traversable, policy: str) -> Iterator[Page]:
    for name, file in _walk(folder, ""):
        content_type = _content_type(name)
        is_page = content_type == _HTML
        yield Page(path + name, content_type, file.read_bytes(), policy if is_page else "")


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
