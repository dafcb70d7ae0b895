"""Check what is pinned, where, and that it is what is deployed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions

from local.embedded_aws.template import parse_yaml
from tests.consistency.project import Project, imported

_REQUIREMENTS = "layers/dependencies/requirements.txt"
_REGISTRY = re.compile("index" + "-url|find" + "-links|pypi" + r"\.org/simple|files\.pythonhosted|trusted" + "-host")
#: What Lambda's Python runtime brings.
_RUNTIME = {"boto3", "botocore"}


def test_no_requirements_name_a_registry(project: Project) -> None:
    found = [path for path in [*project.files("*.txt"), *project.files("*.in")] if _REGISTRY.search(project.text(path))]
    assert not found


def _pins(project: Project, path: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", project.text(path), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_every_compiled_requirement_has_its_hashes(project: Project) -> None:
    for path in [*project.files("requirements/*.txt"), _REQUIREMENTS]:
        entries = re.split(r"\n(?=\S)", project.text(path).strip())
        assert entries
        bare = [
            entry.split("\n", 1)[0] for entry in entries if "--hash=sha256:" not in entry and not entry.startswith("#")
        ]
        assert not bare, path


def test_what_is_tested_is_what_is_deployed(project: Project) -> None:
    deployed = _pins(project, _REQUIREMENTS)
    assert deployed
    for path in ("requirements/local.txt", "requirements/test.txt"):
        here = _pins(project, path)
        differing = {name: (here.get(name), version) for name, version in deployed.items() if here.get(name) != version}
        assert not differing, path


def test_every_pin_that_is_wished_for_is_the_one_that_is_compiled(project: Project) -> None:
    for path in [*project.files("requirements/*.in"), "layers/dependencies/requirements.in"]:
        wished, compiled = _pins(project, path), _pins(project, path.removesuffix(".in") + ".txt")
        assert wished.items() <= compiled.items(), path


def test_deployed_code_imports_only_what_layers_or_runtime_bring(project: Project) -> None:
    brought = _pins(project, _REQUIREMENTS).keys() | _RUNTIME
    for path in [*project.package, *project.files("functions/*.py")]:
        for name in _third_party(project.tree(path)):
            home = {found.lower().replace("_", "-") for found in _homes().get(name, [name])}
            assert home & brought, f"{path} imports {name}, which is in no layer"


@cache
def _homes() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _third_party(tree: ast.Module) -> set[str]:
    """The top-level names of what a module imports when it runs; types alone are not needed then."""
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    running = ast.Module(
        [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in typing_only
        ],
        [],
    )
    names = {name.partition(".")[0] for name in imported(running)}
    return names - sys.stdlib_module_names - {"cleanplate"}


def test_layers_are_built_for_the_functions_runtime_and_processor(project: Project) -> None:
    runtime, (processor,) = project.globals["Runtime"], project.globals["Architectures"]
    version = runtime.removeprefix("python")
    for name, layer in project.resources("AWS::Serverless::LayerVersion").items():
        assert layer["CompatibleRuntimes"] == [runtime], name
        assert layer["CompatibleArchitectures"] == [processor], name
        metadata = project.template["Resources"][name]["Metadata"]
        assert metadata == {"BuildMethod": "makefile", "BuildArchitecture": processor}, name
        makefile = project.text(f"{layer['ContentUri'].strip('/')}/Makefile")
        assert re.search(rf"^build-{name}:", makefile, re.MULTILINE), name
        assert set(re.findall(r"\b(?:python)?(3\.\d+)\b", makefile)) == {version}, name
    wheels = project.text("layers/dependencies/Makefile")
    assert f"--python-platform {({'arm64': 'aarch64', 'x86_64': 'x86_64'})[processor]}-" in wheels


def test_every_function_has_both_layers(project: Project) -> None:
    layers = [{"Ref": name} for name in project.resources("AWS::Serverless::LayerVersion")]
    assert len(layers) == 2
    assert all(about["Layers"] == layers for about in project.functions.values())


# --- versions that are written twice ---


def test_the_template_and_the_package_have_one_version_and_licence(project: Project) -> None:
    metadata = project.template["Metadata"]["AWS::ServerlessRepo::Application"]
    package = tomllib.loads(project.text("pyproject.toml"))["project"]
    assert metadata["SemanticVersion"] == package["version"]
    assert metadata["SpdxLicenseId"] == package["license"]
    assert f"## [{package['version']}]" in project.text("CHANGELOG.md")
    assert {metadata["LicenseUrl"], metadata["ReadmeUrl"]} <= set(project.files())


def test_pre_commit_runs_the_ruff_that_is_pinned(project: Project) -> None:
    (repository,) = parse_yaml(project.text(".pre-commit-config.yaml"))["repos"]
    assert repository["rev"] == f"v{_pins(project, 'requirements/test.txt')['ruff']}"
