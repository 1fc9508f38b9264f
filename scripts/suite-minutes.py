#!/usr/bin/env python3
"""Prints how long each test target and its slowest suites took, and on which program they ran.

Usage: suite-minutes.py LOG PROGRAMS

LOG is what `swift test --no-parallel` printed; PROGRAMS is the directory of the programs that tests start.
"""
import os
import re
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
log, programs = sys.argv[1], os.path.relpath(sys.argv[2], root)
text = Path(log).read_text(errors="replace")


def plain(name):
    return name.strip('`"')


# Suites by the target that declares them, and the targets that start programs.
targets, starts = {}, set()
for path in sorted(root.glob("Tests/*/**/*.swift")):
    target = path.relative_to(root).parts[1]
    source = path.read_text()
    for match in re.finditer(r'@Suite(?:\((?:"([^"]+)")?[^\n]*)?\s*(?:\n\s*)?(?:package |public |final )*struct (`[^`]+`|\w+)', source):
        targets.setdefault(plain(match.group(1) or match.group(2)), target)
    if re.search(r"BuiltProgram\.|LatticeProcess|Tools\.lattice", source):
        starts.add(target)

seconds, outcome = {}, {}
for name, verdict, value in re.findall(
    r"Suite (`[^`]+`|\"[^\"]+\"|\S+) (passed|failed) after ([0-9.]+) seconds", text
):
    name = plain(name)
    # A suite within a suite is counted with the outer one where both have one name only.
    seconds[name] = seconds.get(name, 0.0) + float(value)
    outcome[name] = verdict

by_target = {}
for name, value in seconds.items():
    target = targets.get(name)
    if target is None:
        continue
    by_target.setdefault(target, []).append((value, name))

print("minutes by target; slowest suites in seconds")
for target, suites in sorted(by_target.items(), key=lambda item: -sum(value for value, _ in item[1])):
    total = sum(value for value, _ in suites)
    program = programs if target in starts else "in process"
    print(f"  {total / 60:6.1f}  {target:22} {len(suites):4} suites  {program}")
    for value, name in sorted(suites, reverse=True)[:5]:
        if value >= 5:
            print(f"            {value:7.1f} s  {name}")
print("suites and the program they ran on")
for target, suites in sorted(by_target.items()):
    program = "release program in " + programs if target in starts else "in process, debug build"
    print(f"  {target} ({program}): {', '.join(sorted(name for _, name in suites))}")
