#!/usr/bin/env python3
"""Writes the manual page of lattice from its own help: `lattice --experimental-dump-help | scripts/manual.py > lattice.1`."""
import json
import sys


def plain(text):
    """Text that roff shows as it is."""
    lines = (text or "").replace("\\", "\\\\").replace("-", "\\-").split("\n")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def names(argument):
    """How an argument is written: `-o, --output <file>`."""
    spellings = []
    for name in argument.get("names", []):
        dashes = {"short": "-", "longWithSingleDash": "-"}.get(name["kind"], "--")
        spellings.append(dashes + name["name"])
    value = argument.get("valueName")
    if argument["kind"] == "positional":
        return f"<{value}>"
    return ", ".join(spellings) + (f" <{value}>" if argument["kind"] == "option" else "")


def discussion(text):
    """Indented lines are examples and stay as they are."""
    result, isExample = [], False
    for line in (text or "").split("\n"):
        example = line.startswith("  ")
        if example != isExample:
            result.append(".nf" if example else ".fi")
            isExample = example
        result.append(plain(line) if line.strip() else ".sp")
    return result + ([".fi"] if isExample else [])


def section(command, path):
    """A command and those below it."""
    path = path + [command["commandName"]]
    lines = [f'.SS "{plain(" ".join(path))}"', plain(command.get("abstract"))]
    if command.get("discussion"):
        lines += [".PP"] + discussion(command["discussion"])
    for argument in command.get("arguments", []):
        if not argument.get("shouldDisplay", True) or names(argument).startswith("-h, --help"):
            continue
        default = argument.get("defaultValue")
        lines += [".TP", f'.B "{plain(names(argument))}"', plain(argument.get("abstract")) or "\\&"]
        if default:
            lines.append(plain(f"(default: {default})"))
    for below in command.get("subcommands", []):
        if below["commandName"] != "help":
            lines += section(below, path)
    return lines


def main():
    tool = json.load(sys.stdin)["command"]
    lines = ['.TH LATTICE 1 "" "LatticeForge" "User Commands"', ".SH NAME"]
    lines += [f"lattice \\- {plain(tool['abstract'])}", ".SH SYNOPSIS", ".B lattice", "<command> [<options>]"]
    lines += [".SH DESCRIPTION"] + discussion(tool.get("discussion")) + [".SH COMMANDS"]
    for command in tool["subcommands"]:
        if command["commandName"] != "help":
            lines += section(command, ["lattice"])
    print("\n".join(lines))


main()
