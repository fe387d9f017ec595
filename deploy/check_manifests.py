"""Checks that the program takes the settings that manifests give it, and that Envoy has the file that was tested.

python3 deploy/check_manifests.py MANIFESTS PROGRAM
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent


def variables_of_image():
    """What the image sets (docker/Dockerfile)."""
    text = (HERE.parent / "docker/Dockerfile").read_text("utf-8")
    return dict(re.findall(r"(BACKPROPD_\w+)=(\S+)", text))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        parts = list(yaml.safe_load_all(file))
    maps = {part["metadata"]["name"]: part["data"] for part in parts if part["kind"] == "ConfigMap"}
    for data in maps.values():
        if "cluster.yaml" in data:
            assert data["cluster.yaml"] == (HERE / "envoy/cluster.yaml").read_text("utf-8"), "another Envoy configuration"
    pods = [part["spec"]["template"]["spec"] for part in parts if part["kind"] in ("Deployment", "StatefulSet")]
    (container,) = (one for pod in pods for one in pod["containers"] if one["name"] == "backpropd")
    variables = variables_of_image() | {variable["name"]: variable["value"] for variable in container.get("env", [])}
    for source in container.get("envFrom", []):
        variables |= maps.get(source.get("configMapRef", {}).get("name"), {})
    command = [sys.argv[2], "serve", "--print-config"]
    given = {name: value for name, value in os.environ.items() if not name.startswith("BACKPROPD_")}
    printed = subprocess.run(command, env=given | variables, capture_output=True, text=True, check=False)
    if printed.returncode != 0:
        sys.exit(f"the program refuses the settings of {sys.argv[1]}:\n{printed.stderr}")
    named = {name.removeprefix("BACKPROPD_").lower() for name in variables if name.startswith("BACKPROPD_")}
    missing = [name for name in named if f"\n{name} = " not in printed.stdout]
    assert not missing, f"without effect: {missing}"


if __name__ == "__main__":
    main()
