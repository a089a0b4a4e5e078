"""JSON Schema (2020-12) from the classes that ``common.wire`` reads and writes.

Pure. It says what wire does: names, bounds and what may be left out. What a client sends is
sealed (unknown fields are refused); what we send is open (clients ignore unknown fields), unless
it is asked to be sealed too, for tests. msgspec describes the leaves; it knows no unions of
attrs classes, which we have.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Union, get_args, get_origin

import attrs
import msgspec

from common.structuring import wire_name

Schema = dict[str, Any]


@attrs.define
class Schemas:
    """Collects the ``components`` that the schemas it gave away refer to."""

    sealed: bool = False
    components: dict[str, Schema] = attrs.field(factory=dict)

    def sent(self, kind: Any) -> Schema:
        """Return the schema of what we send: None is left out, unless it has no default."""
        return self._of(kind, received=False)

    def received(self, kind: Any) -> Schema:
        """Return the schema of what a client sends: no unknown fields."""
        return self._of(kind, received=True)

    def _of(self, kind: Any, *, received: bool) -> Schema:
        if isinstance(kind, typing.NewType):
            return self._of(kind.__supertype__, received=received)
        if attrs.has(kind):
            return self._reference(kind, received=received)
        if get_origin(kind) in (Union, types.UnionType):
            members = [self._of(member, received=received) for member in get_args(kind)]
            return {"oneOf": members}
        if get_origin(kind) is list:
            return {"type": "array", "items": self._of(get_args(kind)[0], received=received)}
        return self._leaf(kind)

    def _leaf(self, kind: Any) -> Schema:
        (schema,), components = msgspec.json.schema_components(
            (kind,), ref_template="#/components/schemas/{name}"
        )
        self.components.update(components)
        return schema

    def _reference(self, kind: type, *, received: bool) -> Schema:
        if kind.__name__ not in self.components:
            self.components[kind.__name__] = {}  # So that a class may mention itself.
            self.components[kind.__name__] = self._object(kind, received=received)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}

    def _object(self, kind: type, *, received: bool) -> Schema:
        hints = typing.get_type_hints(kind, include_extras=True)
        fields: list[attrs.Attribute[Any]] = list(attrs.fields(kind))
        properties = {
            wire_name(field.name): self._property(field, hints[field.name], received=received)
            for field in fields
        }
        schema: Schema = {"type": "object", "properties": properties}
        if required := [wire_name(field.name) for field in fields if _is_required(field, received)]:
            schema["required"] = required
        if received or self.sealed:
            schema["additionalProperties"] = False
        if kind.__doc__:
            schema["description"] = " ".join(kind.__doc__.split())
        return schema

    def _property(self, field: attrs.Attribute[Any], hint: Any, *, received: bool) -> Schema:
        if field.default is None and not received:
            hint = _without_none(hint)
        return self._of(hint, received=received)


def _is_required(field: attrs.Attribute[Any], received: bool) -> bool:
    """What we send is always there, but for None by default; so is a client's tag (``type``)."""
    if field.default is attrs.NOTHING:
        return True
    return field.default is not None and (not received or field.kw_only)


def _without_none(hint: Any) -> Any:
    members = tuple(member for member in get_args(hint) if member is not types.NoneType)
    return Union[members]  # noqa: UP007 - the members are known only now.
