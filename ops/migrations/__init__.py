"""The schema, one file a step, applied by ``ops.migrate``. A released step never changes."""
