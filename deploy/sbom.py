#!/usr/bin/env python3
"""Writes the bill of materials of the binary, CycloneDX 1.6 as JSON, to standard output.

    deploy/sbom.py [--target x86_64-unknown-linux-gnu] > tollgate.cdx.json

Made from `cargo metadata --locked` and Cargo.lock alone: the same lock file gives the same bytes. A component that only takes part in the build has
the scope `excluded`; C libraries that crates bring along stand below the crate that brings them.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Crates with a C library in them: what it is, the file and macro that name its version, its license where the crate's is another, its name for CVEs.
BUNDLED = {
    "libsqlite3-sys": ("sqlite", "sqlite3/sqlite3.h", "SQLITE_VERSION", "blessing", "cpe:2.3:a:sqlite:sqlite:{}:*:*:*:*:*:*:*"),
    "aws-lc-sys": ("aws-lc", "aws-lc/include/openssl/base.h", "AWSLC_VERSION_NUMBER_STRING", None, None),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--target", default="x86_64-unknown-linux-gnu", help="the platform that is built for")
    target = arguments.parse_args().target
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]

    macros = {id for id, package in packages.items() if any("proc-macro" in t["kind"] for t in package["targets"])}
    needed = reached(nodes, [root], {None}, leave_out=macros)
    building = reached(nodes, needed, {None, "build"}) - needed
    checksums = locked_checksums()
    others = sorted((needed | building) - {root}, key=lambda id: reference(packages[id]))
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "properties": [{"name": "cargo:target", "value": target}],
            "component": component(packages[root], None) | {"type": "application"},
        },
        "components": [
            component(packages[id], checksums) | {"scope": "required" if id in needed else "excluded"} for id in others
        ],
        "dependencies": [
            {"ref": reference(packages[id]), "dependsOn": depends_on(packages, nodes[id], needed | building)}
            for id in [root, *others]
        ],
    }
    # Named after what is in it, so that a second run gives the same.
    text = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, text).urn
    print(json.dumps(bill, indent=2, sort_keys=True))


def reached(nodes, begin, kinds, leave_out=frozenset()):
    """Every package that is needed from these by dependencies of these kinds."""
    seen, left = set(begin), list(begin)
    while left:
        for dependency in nodes[left.pop()]["deps"]:
            id = dependency["pkg"]
            if any(kind["kind"] in kinds for kind in dependency["dep_kinds"]) and id not in seen and id not in leave_out:
                seen.add(id)
                left.append(id)
    return seen


def depends_on(packages, node, known):
    wanted = (d for d in node["deps"] if any(kind["kind"] != "dev" for kind in d["dep_kinds"]) and d["pkg"] in known)
    return sorted({reference(packages[dependency["pkg"]]) for dependency in wanted})


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    made = {
        "type": "library",
        "bom-ref": reference(package),
        "purl": reference(package),
        "name": package["name"],
        "version": package["version"],
    }
    if package["description"]:
        made["description"] = " ".join(package["description"].split())
    if package["license"]:
        # The old way of writing OR.
        made["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    if package["repository"]:
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    if checksums is not None:
        content = checksums[package["name"], package["version"]]
        made["hashes"] = [{"alg": "SHA-256", "content": content}]
    if package["name"] in BUNDLED:
        made["components"] = [bundled(package, *BUNDLED[package["name"]])]
    return made


def bundled(package, name, header, macro, license, cpe):
    text = (pathlib.Path(package["manifest_path"]).parent / header).read_text()
    version = re.search(rf'^#define {macro}\s+"?([0-9.]+)', text, re.MULTILINE).group(1)
    made = {
        "type": "library",
        "bom-ref": f"{reference(package)}#{name}",
        "purl": f"pkg:generic/{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"expression": license or package["license"]}],
    }
    if cpe:
        made["cpe"] = cpe.format(version)
    return made


def locked_checksums():
    """Of every package from a registry; what has none is not from there, and is refused by its absence."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


main()
