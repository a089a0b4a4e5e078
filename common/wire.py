"""JSON, and nothing but JSON: from bytes to our classes and back.

Pure. Decoding is strict: no coercion, no unknown fields, bounds as annotated. Encoding leaves
None out. Everything that crosses a border of a process goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs
import cattrs
import msgspec
import rfc8785
from cattrs.preconf.msgspec import MsgspecJsonConverter
from typing_extensions import TypeForm

from common.structuring import Readers, make_readers

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
    kind = type(value)
    unstructure_one = _unstructurers.get(kind)
    if unstructure_one is None:
        unstructure_one = _unstructurers[kind] = _writer.get_unstructure_hook(kind)
    return _encoder.encode(unstructure_one(value))


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


def canonical(value: Mapping[str, object]) -> bytes:
    """Return ``value`` in the canonical form of RFC 8785. ValueError when it has none."""
    if _is_simple(value):
        return _sorting.encode(value)
    return rfc8785.dumps(cast("Any", value))


def _is_simple(value: Mapping[str, object]) -> bool:
    """Whether ``value`` is one of those of which msgspec writes what RFC 8785 asks for.

    They differ in the order of keys that are not ASCII, in floats, and in what integers they take.
    """
    for key, member in value.items():
        kind = type(member)
        if not key.isascii():
            return False
        if kind is str or kind is bool or member is None:
            continue
        if isinstance(member, dict):
            if not _is_simple(member):
                return False
        elif not (isinstance(member, int) and -_EXACT_MAX <= member <= _EXACT_MAX):
            return False
    return True


_EXACT_MAX = 2**53 - 1  # Beyond, an integer is no number of JavaScript's.
_sorting = msgspec.json.Encoder(order="sorted")


def structure(value: object, kind: TypeForm[T]) -> T:
    """Return the ``kind`` that the plain ``value`` stands for, or Malformed."""
    return _structure(value, kind, _strict)


def structurer(kind: TypeForm[T]) -> Callable[[object], T]:
    """Return what ``structure`` does for ``kind``, for who does so all the time.

    To find out what a union is made of takes longer than to read one of its members.
    """
    hook: Callable[[object, object], T] = _strict.quick.get_structure_hook(cast("Any", kind))

    def structure_one(value: object) -> T:
        try:
            return hook(value, kind)
        except Exception:  # noqa: BLE001  See _structure.
            return _structure_thoroughly(value, kind, _strict.thorough)

    return structure_one


def structure_leniently(value: object, kind: TypeForm[T]) -> T:
    """As ``structure``, but unknown fields are passed over: how a client hears a newer server."""
    return _structure(value, kind, _lenient)


def _structure(value: object, kind: TypeForm[T], readers: Readers) -> T:
    try:
        return cast("T", readers.quick.structure(value, cast("Any", kind)))
    except Exception:  # noqa: BLE001  Whatever it was, it is found again, and told from a bug.
        return _structure_thoroughly(value, kind, readers.thorough)


def _structure_thoroughly(value: object, kind: TypeForm[T], reader: MsgspecJsonConverter) -> T:
    try:
        return cast("T", reader.structure(value, cast("Any", kind)))
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
    return msgspec.to_builtins(_writer.unstructure(value))


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


_strict = make_readers(strict=True)
_lenient = make_readers(strict=False)
_writer = _strict.thorough
_encoder = msgspec.json.Encoder()
_unstructurers: dict[type, Callable[[object], object]] = {}
"""By the class of what was encoded: as many as there are."""
