from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway import access_log


@pytest.mark.parametrize("method", ["tsk_0123456789", "TSK_0123456789", "BREW", ""])
async def test_a_method_that_nobody_knows_is_not_written(method: str) -> None:
    with capture_logs() as lines:
        access_log.note(method, "none", status=405, began=0.0, trace_id="a" * 32)
    (line,) = lines
    assert line["method"] == "other"
    assert set(line) == {"event", "log_level", "method", "route", "status", "seconds", "trace_id"}
