"""Checks that Envoy looks for the session in every request that can name one.

python3 deploy/check_extractions.py deploy/envoy/cluster.yaml deploy/envoy/descriptors.binpb
"""

import re
import sys

from google.protobuf import descriptor_pb2

TEXT = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
FIELDS = ("session_id", "session", "run", "model", "name")


def named_by(messages, kind):
    """The fields of a request by which it names a session, or something in one."""
    fields = {field.name: field for field in messages[kind].field}
    found = {name for name in FIELDS if name in fields and fields[name].type == TEXT}
    if "header" in fields:
        found |= {f"header.{name}" for name in named_by(messages, fields["header"].type_name)}
    # The session, where a request has one beside the name of something new.
    return {name for name in found if name.split(".")[-1] != "name" or len(found) == 1}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    listed = {
        method: set(re.findall(r"([\w.]+): \{\}", fields))
        for method, fields in re.findall(r"(backprop\.v1\.\w+\.\w+): \{request_field_extractions: \{(.*)\}\}", text)
    }
    used = set(re.findall(r"%DYNAMIC_METADATA\(envoy\.filters\.http\.grpc_field_extraction:([\w.]+)\)%", text))
    with open(sys.argv[2], "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
    messages = {f".{file.package}.{message.name}": message for file in files for message in file.message_type}
    expected = {}
    for file in files:
        for service in file.service:
            for method in service.method:
                fields = named_by(messages, method.input_type)
                if fields:
                    expected[f"{file.package}.{service.name}.{method.name}"] = fields
    wrong = {name for name in expected.keys() | listed.keys() if expected.get(name) != listed.get(name)}
    for name in sorted(wrong):
        print(f"FAIL {name}: {sys.argv[1]} extracts {listed.get(name)}, its request has {expected.get(name)}")
    fields = set().union(*expected.values())
    if used != fields:
        print(f"FAIL the header is made of {sorted(used)}, and extracted are {sorted(fields)}")
    if wrong or used != fields:
        sys.exit(1)
    print(f"ok   Envoy finds the session in the requests of {len(expected)} methods")


if __name__ == "__main__":
    main()
