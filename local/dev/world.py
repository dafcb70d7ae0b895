"""One stack as CloudFormation would make it: the transformed template with its parameters chosen and conditions decided."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import Any

#: What CloudFormation knows without being told; a resource's own reference reads as its logical id.
_PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "cleanplate",
    "AWS::NoValue": None,
}
_NOTHING = object()

#: The choices that conditions hang on.
CHOICES: dict[str, tuple[str, str]] = {
    "ExistingUploadsBucket": ("", "their-uploads"),
    "ExistingResultsBucket": ("", "their-results"),
    "UploadsPrefix": ("", "incoming/"),
    "NotificationEmail": ("", "ops@example.com"),
    "WebhookUrl": ("", "https://shop.example.com/hook"),
    "KmsKeyArn": ("", "arn:aws:kms:us-east-1:123456789012:key/the-stacks"),
    "BucketKeyArns": ("", "arn:aws:kms:us-east-1:123456789012:key/one,arn:aws:kms:us-east-1:123456789012:key/two"),
}


class World:
    """A template under certain parameters."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> None:
        self.template = template
        self._parameters = {
            **{name: about.get("Default", f"<{name}>") for name, about in template["Parameters"].items()},
            **(parameters or {}),
        }
        self._resolved: dict[str, dict[str, Any]] = {}
        self._decided: dict[str, bool] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What was chosen, and the defaults of the rest."""
        return dict(self._parameters)

    def has(self, name: str) -> bool:
        """Return whether a resource would be created."""
        return self.holds(self.template["Resources"][name].get("Condition"))

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """What would be created, with every function of CloudFormation worked out."""
        return {name: self._resource(name) for name in self.template["Resources"] if self.has(name)}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return logical id -> properties of one type."""
        return {
            name: self._resource(name).get("Properties", {})
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind and self.has(name)
        }

    def _resource(self, name: str) -> dict[str, Any]:
        if name not in self._resolved:
            self._resolved[name] = self.resolve(self.template["Resources"][name])
        return self._resolved[name]

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The outputs that there would be."""
        return {
            name: self.resolve(output)
            for name, output in self.template["Outputs"].items()
            if self.holds(output.get("Condition"))
        }

    @cached_property
    def machines(self) -> dict[str, dict[str, Any]]:
        """Logical id -> definition of every state machine, its substitutions made."""
        return {name: _definition(about) for name, about in self.of_type("AWS::StepFunctions::StateMachine").items()}

    @property
    def clean_photo(self) -> dict[str, Any]:
        """The workflow of one photo."""
        return self.machines["CleanPhotoStateMachine"]

    def holds(self, condition: str | None) -> bool:
        """Return whether a named condition is true here; no condition is."""
        if condition is None:
            return True
        if condition not in self._decided:
            self._decided[condition] = bool(self.resolve(self.template["Conditions"][condition]))
        return self._decided[condition]

    def refused_by(self) -> list[str]:
        """Return what the template's rules say against these parameters."""
        return [
            assertion["AssertDescription"]
            for rule in self.template.get("Rules", {}).values()
            if self.resolve(rule.get("RuleCondition", True))
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def resolve(self, value: Any) -> Any:
        """Return a value with every function of CloudFormation in it worked out."""
        found = self._resolve(value)
        return None if found is _NOTHING else found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [found for item in value if (found := self._resolve(item)) is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::") or (name == "Condition" and isinstance(argument, str)):
                return self._call(name, argument)
        return {name: found for name, inner in value.items() if (found := self._resolve(inner)) is not _NOTHING}

    def _call(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self._ref(argument)
            case "Condition":
                return self.holds(argument)
            case "Fn::GetAtt":
                return ".".join(argument) if isinstance(argument, list) else argument
            case "Fn::If":
                return self._resolve(argument[1] if self.holds(argument[0]) else argument[2])
            case "Fn::Sub":
                return self._sub(argument)
        return self._work_out(function, argument)

    def _work_out(self, function: str, argument: Any) -> Any:
        match function:
            case "Fn::Equals":
                # CloudFormation compares what is written, so 1 equals "1".
                left, right = (str(self._resolve(side)) for side in argument)
                return left == right
            case "Fn::Contains":
                return self._resolve(argument[1]) in self._resolve(argument[0])
            case "Fn::Not":
                return not self._resolve(argument[0])
            case "Fn::Join":
                return str(argument[0]).join(str(item) for item in self._resolve(argument[1]))
            case "Fn::Split":
                return str(self._resolve(argument[1])).split(argument[0])
        raise ValueError(f"{function} is not known here: teach it.")

    def _ref(self, name: str) -> Any:
        if name in _PSEUDO and name not in self._parameters:
            return _NOTHING if _PSEUDO[name] is None else _PSEUDO[name]
        return self._parameters.get(name, name)

    def _sub(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1]
            return str(self._resolve(given[name])) if name in given else str(self._ref(name))

        return re.sub(r"\$\{([\w:.]+)\}", value, text)

    def references(self) -> Iterator[tuple[str, str]]:
        """(who, whom): every resource that something which would be created names."""
        for name, resource in self.template["Resources"].items():
            if self.holds(resource.get("Condition")):
                yield from ((name, whom) for whom in self._named_in(resource))
        for name, output in self.template["Outputs"].items():
            if self.holds(output.get("Condition")):
                yield from ((f"output {name}", whom) for whom in self._named_in(output))

    def _named_in(self, value: Any) -> Iterator[str]:
        everything = self.template["Resources"]
        if isinstance(value, list):
            for item in value:
                yield from self._named_in(item)
        elif isinstance(value, dict):
            if value.keys() == {"Fn::If"}:
                condition, yes, no = value["Fn::If"]
                yield from self._named_in(yes if self.holds(condition) else no)
                return
            for name, inner in value.items():
                if name == "Ref" and inner in everything:
                    yield inner
                elif name == "Fn::GetAtt":
                    yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
                elif name == "Fn::Sub":
                    text = inner if isinstance(inner, str) else inner[0]
                    found = {match.split(".")[0] for match in re.findall(r"\$\{([\w:.]+)\}", text)}
                    yield from found & everything.keys()
                    yield from self._named_in(inner if isinstance(inner, list) else [])
                elif name == "DependsOn":
                    # CloudFormation itself leaves out what a condition left out.
                    continue
                else:
                    yield from self._named_in(inner)


def _definition(machine: Mapping[str, Any]) -> dict[str, Any]:
    text = machine["DefinitionString"]
    for name, value in machine["DefinitionSubstitutions"].items():
        text = text.replace(f"${{{name}}}", value)
    found: dict[str, Any] = json.loads(text)
    return found


def worlds(template: Mapping[str, Any]) -> Iterator[World]:
    """Yield every way in which the conditions can fall."""
    for chosen in product(*CHOICES.values()):
        yield World(template, dict(zip(CHOICES, chosen, strict=True)))
