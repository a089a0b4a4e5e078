"""Who makes an operators' call: the holder of an operator's token, and with which role.

401 never says why; 403 says which role would do. Whoever proves to be somebody is remembered for
the audit log, also when the call is refused.
"""

from __future__ import annotations

import attrs
from quart import g

from common.operators import OperatorToken, Role
from gateway.access import bearer_of, operator_of
from gateway.http.outside import Outside
from gateway.http.problems import Problem

_UNAUTHORIZED = Problem(
    "unauthorized", "This call needs a live operator's token: Authorization: Bearer tso_..."
)


@attrs.frozen
class AtLeast:
    """A route's caller: an operator with ``role``, or one that has more."""

    role: Role

    async def __call__(self, outside: Outside, authorization: str) -> OperatorToken | Problem:
        token = await operator_of(
            bearer_of(authorization),
            outside.operators,
            outside.clock,
            outside.settings.hashing_keys,
        )
        if not isinstance(token, OperatorToken):
            return _UNAUTHORIZED
        g.operator = token
        if not token.role.has(self.role):
            return Problem("role_missing", f"This needs the role {self.role}; yours: {token.role}.")
        return token


VIEWER, OPERATOR, ADMIN = map(AtLeast, Role)
