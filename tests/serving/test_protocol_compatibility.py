"""What was released is spoken for ever: nothing of a released protocol is removed or changed, only added to.

``released_protocol.json`` holds the facts of the last released protocol. A release that adds to it renews the file:
``python -m tests.serving.test_protocol_compatibility``. A change that breaks old clients or servers is a new package,
``nanowakeword.v2``, served beside the old one; the old one stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from nanowakeword.v1 import wakeword_pb2

RELEASED = Path(__file__).with_name("released_protocol.json")
Facts = dict[str, dict[str, Any]]


def facts(file: FileDescriptorProto) -> Facts:
    """All that a peer depends on, by the name of what it belongs to; comments and the order of lines are not."""
    found: Facts = {}
    for message in file.message_type:
        found |= _message(message, prefix=f"{file.package}.")
    for enum in file.enum_type:
        found |= _enum(enum, prefix=f"{file.package}.")
    for service in file.service:
        name = f"{file.package}.{service.name}"
        found[name] = {"kind": "service"}
        for method in service.method:
            found[f"{name}.{method.name}"] = {
                "kind": "method",
                "request": method.input_type,
                "response": method.output_type,
                "client streams": method.client_streaming,
                "server streams": method.server_streaming,
            }
    return found


def _message(message: Any, *, prefix: str) -> Facts:
    name = f"{prefix}{message.name}"
    found: Facts = {name: {"kind": "message"}}
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
        found[f"{name} field {field.number}"] = {
            "kind": "field",
            # JSON and text forms, and every program that was written against it, know fields by name.
            "name": field.name,
            "type": field.Type.Name(field.type),
            "type name": field.type_name,
            "label": field.Label.Name(field.label),
            "optional": field.proto3_optional,
            "oneof": None if field.proto3_optional else oneof,
        }
    for inner in message.nested_type:
        found |= _message(inner, prefix=f"{name}.")
    for enum in message.enum_type:
        found |= _enum(enum, prefix=f"{name}.")
    return found


def _enum(enum: Any, *, prefix: str) -> Facts:
    name = f"{prefix}{enum.name}"
    values = {f"{name} value {value.number}": {"kind": "value", "name": value.name} for value in enum.value}
    return {name: {"kind": "enum"}, **values}


def breaks(before: Facts, after: Facts) -> list[str]:
    """What of an old protocol a new one breaks, a line each."""
    found = []
    for name, fact in before.items():
        if name not in after:
            found.append(f"{name} was removed: {fact.get('name', fact['kind'])}")
        found += [
            f"{name}: {what} was {value}, is {after[name].get(what)}"
            for what, value in fact.items()
            if name in after and after[name].get(what) != value
        ]
    return found


def current() -> FileDescriptorProto:
    """The protocol of the code as it is."""
    protocol = FileDescriptorProto()
    wakeword_pb2.DESCRIPTOR.CopyToProto(protocol)
    return protocol


def released() -> Facts:
    found: Facts = json.loads(RELEASED.read_text(encoding="utf-8"))
    return found


def test_nothing_of_the_released_protocol_is_broken() -> None:
    assert breaks(released(), facts(current())) == [], __doc__


def test_the_released_protocol_is_this_one() -> None:
    """A file of something else would guard nothing."""
    assert "nanowakeword.v1.WakeWordService.Detect" in released()
    assert len(released()) > 100


def drop(message: str) -> Callable[[FileDescriptorProto], None]:
    def change(file: FileDescriptorProto) -> None:
        file.message_type.remove(_find(file, message))

    return change


def edit(message: str, field: str, **values: Any) -> Callable[[FileDescriptorProto], None]:
    def change(file: FileDescriptorProto) -> None:
        (found,) = [one for one in _find(file, message).field if one.name == field]
        for name, value in values.items():
            setattr(found, name, value)

    return change


def _find(file: FileDescriptorProto, message: str) -> Any:
    (found,) = [one for one in file.message_type if one.name == message]
    return found


def leave_oneof(file: FileDescriptorProto) -> None:
    (field,) = [one for one in _find(file, "AudioChunk").field if one.name == "flac"]
    field.ClearField("oneof_index")


def rename_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].name = "AUDIO_ENCODING_WAV"


def move_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].number = 9


def drop_field(file: FileDescriptorProto) -> None:
    del _find(file, "Detection").field[0]


def drop_method(file: FileDescriptorProto) -> None:
    del file.service[0].method[0]


def make_unary(file: FileDescriptorProto) -> None:
    file.service[0].method[0].client_streaming = False


def rename_package(file: FileDescriptorProto) -> None:
    file.package = "nanowakeword.v2"


BREAKING = {
    "message": drop("ScoreTrack"),
    "field": drop_field,
    "number": edit("Detection", "score", number=9),
    "name": edit("Detection", "score", name="probability"),
    "type": edit("Detection", "score", type=2),
    "type name": edit("DetectRequest", "audio", type_name=".nanowakeword.v1.FeatureChunk"),
    "label": edit("Detection", "score", label=3),
    "optional": edit("AudioChunk", "sequence", proto3_optional=False),
    "oneof": leave_oneof,
    "value renamed": rename_value,
    "value moved": move_value,
    "method": drop_method,
    "streaming": make_unary,
    "package": rename_package,
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_seen(name: str) -> None:
    changed = current()
    BREAKING[name](changed)
    assert breaks(facts(current()), facts(changed))


def test_additions_are_allowed() -> None:
    changed = current()
    _find(changed, "Detection").field.add(name="more", number=99, type=1, label=1)
    _find(changed, "AudioChunk").field.add(name="mp3", number=99, type=12, label=1, oneof_index=0)
    changed.message_type.add(name="New")
    changed.enum_type[0].value.add(name="AUDIO_ENCODING_NEW", number=99)
    changed.service[0].method.add(name="New", input_type=".a", output_type=".b")
    assert len(facts(changed)) == len(facts(current())) + 5
    assert breaks(facts(current()), facts(changed)) == []


if __name__ == "__main__":
    problems = breaks(released(), facts(current()))
    if problems:
        raise SystemExit("\n".join(problems))
    lines = [f"{json.dumps(name)}: {json.dumps(fact)}" for name, fact in sorted(facts(current()).items())]
    RELEASED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
