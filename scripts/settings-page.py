#!/usr/bin/env python3
"""Writes the tables of Documentation/LatticeForge.docc/Settings.md from the help of the program.

Usage: scripts/settings-page.py .build/release/lattice
"""
import json
import pathlib
import re
import subprocess
import sys

ACTIONS = {"config", "print_config", "check", "version", "help", "json_wire", "no_allow_loopback"}


def rows(program, command):
    dump = json.loads(subprocess.run([program, command, "--experimental-dump-help"], capture_output=True, check=True).stdout)
    for argument in dump["command"]["arguments"]:
        key = argument.get("preferredName", {}).get("name", "").replace("-", "_")
        if argument["kind"] == "positional" or key in ACTIONS:
            continue
        is_flag = argument["kind"] == "flag"
        kind = "boolean" if is_flag else argument["valueName"]
        default = "false" if is_flag and key != "allow_loopback" else argument.get("defaultValue")
        many = "list of " if argument["isRepeating"] else ""
        yield f"| `{key}` | {many}{kind} | {f'`{default}`' if default is not None else ''} | {argument.get('abstract', '')} |"


def main():
    page = pathlib.Path(__file__).resolve().parent.parent / "Documentation/LatticeForge.docc/Settings.md"
    text = page.read_text()
    for command in ["serve", "gateway"]:
        table = "\n".join(["| setting | kind | default | meaning |", "|---|---|---|---|", *rows(sys.argv[1], command)])
        text = re.sub(rf"(\n## lattice {command}\n\n)(?:\|[^\n]*\n)*", lambda match: match.group(1) + table + "\n", text)
    page.write_text(text)


main()
