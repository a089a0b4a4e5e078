"""What an image's HEALTHCHECK runs, every few seconds in every container: is the process here well?

Asks ``/healthz`` (or the path that is its argument) on the private port of this machine; exit code
0 for 200, else 1 with one line. The standard library alone, and run by path: importing Tessera
would take longer than all else it does.
"""

from __future__ import annotations

import http.client
import sys

PORT = 9100  # Of every process in a container.
SECONDS_MAX = 4.0  # Docker's own deadline is a second later.


def what_is_wrong(path: str, port: int = PORT) -> str:
    """Return "" when the answer is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {type(error).__name__} {error}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{path}: {answer.status} {said}"


if __name__ == "__main__":
    wrong = what_is_wrong(sys.argv[1] if sys.argv[1:] else "/healthz")
    print(wrong or "ok")
    sys.exit(bool(wrong))
