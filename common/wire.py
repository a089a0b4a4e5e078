"""JSON, and nothing but JSON: from bytes to our classes and back.

Pure. Decoding is strict: no coercion, no unknown fields, bounds as annotated. Encoding leaves
None out. Everything that crosses a border of a process goes through here.
"""

from __future__ import annotations

import re
import types
import typing
from typing import Annotated, Any, Literal, TypeVar, cast, get_origin

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.msgspec import MsgspecJsonConverter, make_converter
from typing_extensions import TypeForm

T = TypeVar("T")


@attrs.frozen
class Fault:
    """One thing that is wrong with a JSON value: where (``$.command.x``) and what."""

    path: str
    message: str


class Malformed(ValueError):
    """The bytes are not the JSON of what was asked for; ``faults`` say why, at least one."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in faults))
        self.faults = faults


class NotText(Malformed):
    """It is JSON, but some string in it is no text: an escape there names half of a character.

    ``value`` is what it says, with U+FFFD in such places.
    """

    def __init__(self, value: object) -> None:
        super().__init__((Fault("$", "a string has a lone surrogate"),))
        self.value = value


def encode(value: object) -> bytes:
    """Return ``value``, an instance of one of our classes, as compact JSON in UTF-8."""
    return _converter.dumps(value)


def decode(data: bytes | str, kind: TypeForm[T]) -> T:
    """Return the ``kind`` (a class of ours, or a union) that ``data`` says, or raise Malformed."""
    return structure(parse(data), kind)


def parse(data: bytes | str) -> object:
    """Return ``data`` as plain dicts, lists and scalars, or Malformed, which may be NotText.

    No string that is returned has a lone surrogate: nobody could encode it.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = data.encode() if isinstance(data, str) else data
        mended = _without_lone_surrogates(text)
        if mended != text:
            raise NotText(parse(mended)) from None
        raise Malformed((Fault("$", str(error)),)) from None


_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # A pair: one character.
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)


def _without_lone_surrogates(text: bytes) -> bytes:
    """Return ``text`` with U+FFFD for what the grammar allows and msgspec refuses.

    (RFC 8259, section 8.2.) Backslashes are in strings only, or it is no JSON before and after.
    """
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], text)


def structure(value: object, kind: TypeForm[T]) -> T:
    """Return the ``kind`` that the plain ``value`` stands for, or Malformed."""
    return _structure(value, kind, _converter)


def structure_leniently(value: object, kind: TypeForm[T]) -> T:
    """As ``structure``, but unknown fields are passed over: how a client hears a newer server."""
    return _structure(value, kind, _lenient)


def _structure(value: object, kind: TypeForm[T], converter: MsgspecJsonConverter) -> T:
    try:
        return cast("T", converter.structure(value, cast("Any", kind)))
    except (
        cattrs.BaseValidationError,
        cattrs.StructureHandlerNotFoundError,
        ValueError,
        TypeError,
        KeyError,
    ) as error:
        raise Malformed(_faults(error)) from None


def unstructure(value: object) -> Any:
    """Return ``value`` as plain dicts, lists and scalars, as ``encode`` would write it."""
    return msgspec.to_builtins(_converter.unstructure(value))


def _faults(error: BaseException) -> tuple[Fault, ...]:
    return tuple(_walk(error, "$"))


def _walk(error: BaseException, path: str) -> list[Fault]:
    """Flatten cattrs' tree of errors; each group's members carry notes that say where they were."""
    match error:
        case cattrs.BaseValidationError():
            faults = []
            for inner in error.exceptions:
                notes = getattr(inner, "__notes__", ())
                step = next((_step(note) for note in notes if isinstance(note, _NOTES)), "")
                faults += _walk(inner, path + step)
            return faults
        case cattrs.ForbiddenExtraKeysError():
            return [Fault(f"{path}.{name}", "unknown field") for name in sorted(error.extra_fields)]
        case KeyError():
            return [Fault(path, "required field is missing")]
        case _:
            return [Fault(path, str(error) or type(error).__name__)]


_NOTES = (cattrs.AttributeValidationNote, cattrs.IterableValidationNote)


def _step(note: cattrs.AttributeValidationNote | cattrs.IterableValidationNote) -> str:
    if isinstance(note, cattrs.AttributeValidationNote):
        return f".{note.name.rstrip('_')}"
    return f"[{note.index}]"


def _make_converter(*, strict: bool) -> MsgspecJsonConverter:
    converter = make_converter(forbid_extra_keys=strict)
    for leaf in (str, int, float, bool):
        converter.register_structure_hook(leaf, _convert)
    converter.register_structure_hook_func(_is_leaf, _convert)
    converter.register_structure_hook_factory(
        _is_tagged_union, lambda kind: _structure_tagged(kind, converter)
    )
    converter.register_structure_hook_factory(
        attrs.has, lambda kind: _structure_attrs(kind, converter, strict)
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

    def structure_tagged(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("expected an object")
        name = value.get(tag)
        member = classes.get(name) if isinstance(name, str) else None
        if member is None:
            raise ValueError(f"{tag} must be one of {', '.join(sorted(classes))}")
        return converter.get_structure_hook(member)(value, member)

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


def _structure_attrs(kind: type, converter: MsgspecJsonConverter, strict: bool) -> Any:
    overrides: Any = {field.name: override(rename=wire_name(field.name)) for field in _fields(kind)}
    structure_fields: Any = make_dict_structure_fn(kind, converter, **overrides)

    def structure_object(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("expected an object")  # cattrs would ask a list for its keys().
        return structure_fields(value, kind)

    if not all(_is_flat(field) for field in _fields(kind)):
        return structure_object
    names = frozenset(field.name for field in _fields(kind))

    def structure_flat(value: Any, _: Any) -> Any:
        """The same in one step of C. Where it fails, cattrs says all that is wrong, and where."""
        if isinstance(value, dict) and (not strict or names.issuperset(value)):
            try:
                return msgspec.convert(value, kind, strict=True)
            except msgspec.ValidationError:
                pass
        return structure_object(value, kind)

    return structure_flat


def _is_flat(field: attrs.Attribute[Any]) -> bool:
    """Whether msgspec alone reads ``field`` as cattrs would: see ``_convert``."""
    kind = field.type
    if get_origin(kind) in (typing.Union, types.UnionType):
        kind, *others = (one for one in typing.get_args(kind) if one is not types.NoneType)
        if others:
            return False
    while isinstance(kind, typing.NewType):
        kind = kind.__supertype__
    is_plain = (
        field.validator is None and field.converter is None and wire_name(field.name) == field.name
    )
    return is_plain and (kind in (str, int, float, bool) or _is_leaf(kind))


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


_converter = _make_converter(strict=True)
_lenient = _make_converter(strict=False)
