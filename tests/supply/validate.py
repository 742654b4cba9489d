"""Validates a bill of materials against the schema of CycloneDX, and against Cargo.lock: every component is locked, with its checksum."""

import json
import pathlib
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = pathlib.Path(sys.argv[1]).read_text()
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if wrong is not None:
    sys.exit(f"the bill of materials is not CycloneDX 1.6: {wrong}")

locked = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]}
components = json.loads(text)["components"]
for component in components:
    checksum = component["hashes"][0]["content"]
    if locked.get((component["name"], component["version"])) != checksum:
        sys.exit(f"{component['bom-ref']} is not what Cargo.lock has")
    if not component.get("licenses"):
        sys.exit(f"{component['bom-ref']} has no license")
required = sum(component["scope"] == "required" for component in components)
print(f"The bill of materials is CycloneDX 1.6: {required} components of the binary, {len(components) - required} of its build.")
