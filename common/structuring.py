"""From plain dicts, lists and scalars to our classes, and back.

Pure, and knows no JSON: see ``wire``. Strict: no coercion, bounds as annotated. Each kind can be
read quickly, giving up at what is wrong, and thoroughly, to say all that is wrong and where; both
take the same.
"""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal, get_origin

import attrs
import msgspec
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.msgspec import MsgspecJsonConverter, make_converter


@attrs.frozen
class Readers:
    """``quick`` gives up at what is wrong; ``thorough`` takes the same, and says where and what."""

    quick: MsgspecJsonConverter
    thorough: MsgspecJsonConverter


def make_readers(*, strict: bool) -> Readers:
    quick = _make_converter(strict=strict, thorough=False)
    for leaf in (str, int, bool):
        quick.register_structure_hook(leaf, _only)
    quick.register_structure_hook_factory(_is_of_words, _only_words)
    quick.register_structure_hook_factory(_is_flat, lambda kind: _only_flat(kind, strict=strict))
    return Readers(quick, _make_converter(strict=strict, thorough=True))


def _make_converter(*, strict: bool, thorough: bool) -> MsgspecJsonConverter:
    converter = make_converter(forbid_extra_keys=strict, detailed_validation=thorough)
    for leaf in (str, int, float, bool):
        converter.register_structure_hook(leaf, _convert)
    converter.register_structure_hook_func(_is_leaf, _convert)
    converter.register_structure_hook_factory(
        _is_tagged_union, lambda kind: _structure_tagged(kind, converter)
    )
    converter.register_structure_hook_factory(
        attrs.has, lambda kind: _structure_attrs(kind, converter)
    )
    converter.register_unstructure_hook_factory(
        attrs.has, lambda kind: _unstructure_attrs(kind, converter)
    )
    return converter


def _convert(value: object, kind: Any) -> Any:
    return msgspec.convert(value, kind, strict=True)


def _is_leaf(kind: Any) -> bool:
    """Literals, bounded scalars, plain objects: msgspec knows their bounds, and never coerces."""
    return get_origin(kind) in (Annotated, Literal, dict)


def _is_tagged_union(kind: Any) -> bool:
    members = typing.get_args(kind) if get_origin(kind) in (typing.Union, types.UnionType) else ()
    return len(members) > 1 and all(attrs.has(member) for member in members)


def _structure_tagged(kind: Any, converter: MsgspecJsonConverter) -> Any:
    """Tell the members of a union apart by their one Literal field (``type``, or ``name``)."""
    tag, classes = _tags(typing.get_args(kind))
    hooks: dict[str, Any] = {}
    """Of those that were met: to ask the converter each time takes longer than to structure."""

    def structure_tagged(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("expected an object")
        name: Any = value.get(tag)
        member = classes.get(name) if isinstance(name, str) else None
        if member is None:
            raise ValueError(f"{tag} must be one of {', '.join(sorted(classes))}")
        hook = hooks.get(name)
        if hook is None:
            hook = hooks[name] = converter.get_structure_hook(member)
        return hook(value, member)

    return structure_tagged


def _tags(members: tuple[type, ...]) -> tuple[str, dict[str, type]]:
    classes: dict[str, type] = {}
    tags: set[str] = set()
    for member in members:
        for name, kind in typing.get_type_hints(member).items():
            if get_origin(kind) is Literal and len(typing.get_args(kind)) == 1:
                tags.add(name)
                classes[typing.get_args(kind)[0]] = member
    (tag,) = tags
    return tag, classes


def _structure_attrs(kind: type, converter: MsgspecJsonConverter) -> Any:
    overrides: Any = {field.name: override(rename=wire_name(field.name)) for field in _fields(kind)}
    structure_fields: Any = make_dict_structure_fn(kind, converter, **overrides)

    def structure_object(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("expected an object")  # cattrs would ask a list for its keys().
        return structure_fields(value, kind)

    return structure_object


# What is read quickly: msgspec builds what it needs for a Literal anew each time, which costs more
# than all the rest; a class of nothing but scalars it reads in one step.


def _only(value: Any, kind: Any) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _is_of_words(kind: Any) -> bool:
    words = typing.get_args(kind) if get_origin(kind) is Literal else ()
    return bool(words) and all(type(word) is str for word in words)


def _only_words(kind: Any) -> Any:
    words = frozenset(typing.get_args(kind))

    def structure_word(value: Any, _: Any) -> Any:
        if type(value) is not str or value not in words:
            raise ValueError
        return value

    return structure_word


def _is_flat(kind: Any) -> bool:
    """Whether it has nothing but scalars, and objects of nothing but scalars."""
    return attrs.has(kind) and all(
        _is_scalar(field) or _is_of_scalars(field.type) for field in _fields(kind)
    )


def _is_of_scalars(kind: Any) -> bool:
    return attrs.has(kind) and all(_is_scalar(field) for field in _fields(kind))


def _is_scalar(field: attrs.Attribute[Any]) -> bool:
    """Whether msgspec alone reads ``field`` as ``_convert`` does."""
    kind = field.type
    if get_origin(kind) in (typing.Union, types.UnionType):
        kind, *others = (one for one in typing.get_args(kind) if one is not types.NoneType)
        if others:
            return False
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    is_bare = field.validator is None and field.converter is None and field.init
    is_named = field.alias == wire_name(field.name) == field.name
    return is_bare and is_named and (kind in (str, int, float, bool) or _is_leaf(kind))


def _only_flat(kind: type, *, strict: bool) -> Any:
    names = _names(kind)
    inner = {field.name: _names(field.type) for field in _fields(kind) if attrs.has(field.type)}

    def structure_flat(value: Any, _: Any) -> Any:
        if not isinstance(value, dict) or (strict and not names.issuperset(value)):
            raise TypeError
        for name, known in inner.items():
            # What is missing, or is no object, msgspec refuses; it only knows no unknown fields.
            if strict and not known.issuperset(value.get(name) or ()):
                raise TypeError
        return msgspec.convert(value, kind, strict=True)

    return structure_flat


def _names(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in _fields(kind))


def _unstructure_attrs(kind: type, converter: MsgspecJsonConverter) -> Any:
    overrides: Any = {
        field.name: override(rename=wire_name(field.name), omit_if_default=field.default is None)
        for field in _fields(kind)
    }
    return make_dict_unstructure_fn(kind, converter, **overrides)


def _fields(kind: type) -> Any:
    return attrs.fields(attrs.resolve_types(kind))


def wire_name(name: str) -> str:
    """``from_`` is ``from`` on the wire: the one word that Python keeps for itself."""
    return name.rstrip("_")
