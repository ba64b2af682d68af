#!/usr/bin/env python3
"""Writes expected/NAME.json for every NAME.yaml here: what aws-sam-translator makes of it.

    pip install aws-sam-translator==1.110.0 pyyaml && python3 regen.py

A template that the translator refuses gives {"error": [messages]}.
"""
import json, os, pathlib, sys

os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "none"

import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

HERE = pathlib.Path(__file__).parent


class Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short-form tags, and no timestamps."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, exp) for tag, exp in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def tagged(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else "Fn::" + suffix
    if isinstance(node, yaml.ScalarNode):
        value = node.value.split(".", 1) if suffix == "GetAtt" else node.value
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", tagged)


class NoPolicies:
    def load(self):
        return {}


def translate(source):
    try:
        return transform(yaml.load(source, Loader), {}, NoPolicies())
    except InvalidDocumentException as e:
        return {"error": [c.message for c in e.causes]}


def main():
    out = HERE / "expected"
    out.mkdir(exist_ok=True)
    for old in out.glob("*.json"):
        old.unlink()
    for f in sorted(HERE.glob("*.yaml")):
        result = translate(f.read_text())
        (out / (f.stem + ".json")).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        if "error" in result:
            print(f.stem, "is refused:", result["error"], file=sys.stderr)


if __name__ == "__main__":
    main()
