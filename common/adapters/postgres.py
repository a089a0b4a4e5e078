"""A few connections to PostgreSQL, and our three words for what can go wrong with them.

One statement a call, which is one transaction: no call holds a connection between two waits. It
does not retry. A call that is cancelled or late gives its connection up; the server ends what it
is still doing there by its own timeout. Cancelled after POSTGRES_UNANSWERED_SECONDS it counts as
trouble, as if it were late. Needs an open trio_asyncio loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import asyncpg
import attrs
import trio
import trio_asyncio

from common.adapters.breaker import Breaker
from common.adapters.calls import POSTGRES
from common.errors import InDoubt, Misconfigured, Trouble, Unavailable
from common.limits import (
    POSTGRES_CONNECTIONS_MAX,
    POSTGRES_FAILURES_MAX,
    POSTGRES_PAUSE_SECONDS,
    POSTGRES_SECONDS_MAX,
    POSTGRES_UNANSWERED_SECONDS,
)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
T = TypeVar("T")

SCHEMA_VERSION = 8
"""The last of ``ops/migrations`` that this code knows."""

_WRONG_SETTING = (
    asyncpg.InvalidAuthorizationSpecificationError,  # InvalidPasswordError is one of them.
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)

# The server said itself that it rolled the statement back, for a reason that passes.
_ROLLED_BACK = (
    asyncpg.TransactionRollbackError,  # Deadlock, serialization.
    asyncpg.InsufficientResourcesError,  # Disk full, too many connections.
    asyncpg.QueryCanceledError,  # Its own statement timeout.
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # It became a standby.
    asyncpg.PostgresSystemError,
)

# The connection is gone, and nobody knows what became of the statement.
_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


@asynccontextmanager
async def open_postgres(
    url: str, connections_max: int = POSTGRES_CONNECTIONS_MAX
) -> AsyncIterator[Postgres]:
    """Connections to ``url``, made when they are needed.

    Misconfigured when the server refuses ``url``, or holds no database of this version. A server
    that can't be reached is no reason not to start: calls say Unavailable until it can.
    """
    postgres = Postgres(url, connections_max)
    try:
        with suppress(Unavailable):
            await postgres.start()
        yield postgres
    finally:
        postgres.close()


class Postgres:
    def __init__(self, url: str, connections_max: int) -> None:
        self._url = url
        self._loop = trio_asyncio.current_loop.get()
        # Who finds all seats taken waits, no longer than any call may take.
        self._seats = trio.Semaphore(connections_max)
        self._idle: list[Connection] = []
        self._breaker = Breaker(POSTGRES_FAILURES_MAX, POSTGRES_PAUSE_SECONDS)
        self._reported = trio.Event()
        """Set, and replaced, whenever the breaker was told how a call went."""

    async def read(self, doing: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows, or raise Unavailable: a read that got no answer did nothing."""
        return await self._call(doing, Unavailable, query, arguments)

    async def write(self, doing: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        """As ``read``, but InDoubt when it was sent and no answer came.

        What the server refused for a reason of its own (``asyncpg.PostgresError``) is a bug, or
        for the caller to understand.
        """
        return await self._call(doing, InDoubt, query, arguments)

    async def start(self) -> None:
        """Make the first connection, and look whether this is a database of our version."""
        self._idle.append(await connect(self._url, self._loop))
        try:
            rows = await self.read("checking the schema", "select max(version) from schema_version")
        except asyncpg.UndefinedTableError:
            found = 0
        else:
            found = rows[0][0] or 0
        if found < SCHEMA_VERSION:
            raise Misconfigured("the database is not ready for this version: run `tessera migrate`")
        if found > SCHEMA_VERSION:
            raise newer_database(found)

    def close(self) -> None:
        """At once: every statement was a transaction of its own, so nothing is cut in half."""
        while self._idle:
            self._idle.pop().terminate()

    async def _call(
        self, doing: str, unanswered: type[Trouble], query: str, arguments: tuple[object, ...]
    ) -> list[asyncpg.Record]:
        began, progress = perf_counter(), _Progress(trio.current_time())
        try:
            rows = await self._call_uncounted(doing, unanswered, query, arguments, progress)
        except trio.Cancelled as cancelled:
            POSTGRES.failed(doing, began, self._given_up(progress) or cancelled)
            raise
        except BaseException as error:
            POSTGRES.failed(doing, began, error)
            raise
        POSTGRES.ended(doing, began, "ok")
        return rows

    def _given_up(self, progress: _Progress) -> Trouble | None:
        """Whether the caller's own deadline ended a call that the server had left unanswered."""
        if trio.current_time() < progress.began + POSTGRES_UNANSWERED_SECONDS:
            return None
        if progress.is_asking:
            self._report(failed=True)
        return progress.unanswered()

    async def _call_uncounted(
        self,
        doing: str,
        unanswered: type[Trouble],
        query: str,
        arguments: tuple[object, ...],
        progress: _Progress,
    ) -> list[asyncpg.Record]:
        deadline = progress.began + POSTGRES_SECONDS_MAX
        with _bounded(f"{doing}: PostgreSQL is too busy", Unavailable, deadline):
            await self._seats.acquire()
        try:
            connection = self._idle_connection() or await self._connect(doing, deadline, progress)
            progress.is_asking, progress.unanswered = True, unanswered
            try:
                with _bounded(f"{doing}: no answer from PostgreSQL", unanswered, deadline):
                    return await self._fetch(connection, doing, unanswered, query, arguments)
            except Trouble:
                if connection.is_closed():
                    self._report(failed=True)
                raise
            finally:
                if not connection.is_closed():
                    self._idle.append(connection)
        finally:
            self._seats.release()

    async def _fetch(
        self,
        connection: Connection,
        doing: str,
        unanswered: type[Trouble],
        query: str,
        arguments: tuple[object, ...],
    ) -> list[asyncpg.Record]:
        try:
            rows = await self._in_asyncio(connection.fetch, query, *arguments)
        except _ROLLED_BACK as error:
            raise Unavailable(f"{doing}: PostgreSQL gave it up: {error}") from error
        except _LOST as error:
            connection.terminate()
            raise unanswered(f"{doing}: PostgreSQL went away: {error}") from error
        except asyncpg.PostgresError:
            raise  # An answer like any other: the connection is as good as before.
        except BaseException:
            connection.terminate()  # Cancelled or late: who knows what it would answer next.
            raise
        self._report(failed=False)
        return rows

    def _idle_connection(self) -> Connection | None:
        """The one used last: so those that are not needed stay unused."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self, doing: str, deadline: float, progress: _Progress) -> Connection:
        await self._pass_breaker(doing, deadline)
        progress.is_asking = True
        try:
            with _bounded(f"{doing}: PostgreSQL can't be reached", Unavailable, deadline):
                return await connect(self._url, self._loop)
        except (Unavailable, Misconfigured) as error:
            self._report(failed=True)
            # Refused, though it was right when we started: somebody is at work on the server.
            raise Unavailable(f"{doing}: {error}") from error

    async def _pass_breaker(self, doing: str, deadline: float) -> None:
        """Return when we may ask. Who comes while a probe is out waits for what it says.

        Else the first burst after an outage would be refused, but for one, however long ago the
        outage was.
        """
        while not self._breaker.allows(trio.current_time()):
            if not self._breaker.is_probing or trio.current_time() >= deadline:
                raise Unavailable(
                    f"{doing}: PostgreSQL failed {POSTGRES_FAILURES_MAX} times in a row"
                )
            # A probe that was cancelled never reports; then somebody here becomes the next.
            with trio.move_on_at(min(deadline, trio.current_time() + POSTGRES_PAUSE_SECONDS)):
                await self._reported.wait()

    def _report(self, *, failed: bool) -> None:
        if failed:
            self._breaker.failed(trio.current_time())
        else:
            self._breaker.succeeded()
        self._reported.set()
        self._reported = trio.Event()

    async def _in_asyncio(self, call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        result: T = await trio_asyncio.aio_as_trio(call, loop=self._loop)(*arguments)
        return result


@attrs.define
class _Progress:
    began: float
    """By trio's clock."""
    is_asking: bool = False
    """The server is: not a seat that is waited for, nor the breaker."""
    unanswered: type[Trouble] = Unavailable
    """What it is if no answer comes any more."""


async def connect(url: str, loop: asyncio.AbstractEventLoop | None = None) -> Connection:
    """Unavailable when nobody answers there (yet), Misconfigured when ``url`` is refused.

    The connection belongs to ``loop``, None for the one around the caller.
    """
    settings: dict[str, Any] = {
        "application_name": "tessera",
        "timezone": "UTC",
        # Whoever asked has given up by then, and may no longer be there to cancel it.
        "statement_timeout": f"{POSTGRES_SECONDS_MAX:.0f}s",
        # Statements here go by primary keys. On tables that were empty when they were planned, a
        # scan looks cheaper, and the plan would stay when they have grown.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",  # Short statements only: compiling costs more.
    }
    loop = loop or trio_asyncio.current_loop.get()
    loop.set_exception_handler(_forgive_the_abandoned)
    try:
        connection: Connection = await trio_asyncio.aio_as_trio(asyncpg.connect, loop=loop)(
            url, timeout=POSTGRES_SECONDS_MAX, server_settings=settings
        )
    except _WRONG_SETTING as error:
        raise Misconfigured(f"DATABASE_URL: {error}") from error
    except ValueError as error:
        raise Misconfigured(f"DATABASE_URL is no address of a PostgreSQL: {error}") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"PostgreSQL can't be reached: {why}") from error
    return connection


def _forgive_the_abandoned(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Let nothing end the loop but what its own handler would, with one exception.

    When a server goes away in the moment in which a connect to it is cancelled, asyncpg leaves
    the news of that in a future that nobody waits for any more.
    """
    if not ("future" in context and isinstance(context.get("exception"), ConnectionError)):
        loop.default_exception_handler(context)


def newer_database(found: int) -> Misconfigured:
    return Misconfigured(
        f"the database was written by a newer version (schema {found}, this one knows"
        f" {SCHEMA_VERSION}): upgrade tessera"
    )


@contextmanager
def _bounded(late: str, trouble: type[Trouble], deadline: float) -> Iterator[None]:
    try:
        with trio.fail_at(deadline):
            yield
    except trio.TooSlowError:
        raise trouble(f"{late} within {POSTGRES_SECONDS_MAX:.0f} s") from None
