#!/usr/bin/env python3
"""Counts how the house is built: sizes of files and folders, who asks queries and who answers them, what leads nowhere.

Usage: house-measures.py [COMMIT]

Without a commit it counts the working tree, with one what stood there. One line a measure.
"""
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout.decode("utf-8", "replace")


def tree(commit):
    """Paths and texts of what is tracked."""
    if commit is None:
        names = git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        return {name: (ROOT / name).read_text("utf-8", "replace") for name in names if (ROOT / name).is_file()}
    listing = [line.split(None, 3) for line in git("ls-tree", "-r", commit).splitlines()]
    found = {}
    for _, kind, _, name in listing:
        if kind == "blob" and not name.endswith((".hex", ".lattice", ".png")):
            found[name] = git("show", f"{commit}:{name}")
    return found


def main():
    files = tree(sys.argv[1] if len(sys.argv) > 1 else None)
    swift = {name: text for name, text in files.items() if name.endswith(".swift") and "/Generated/" not in name}
    sources = {name: text for name, text in swift.items() if name.startswith("Sources/")}
    tests = {name: text for name, text in swift.items() if name.startswith("Tests/")}
    lines = lambda part: sum(text.count("\n") for text in part.values())
    folders = Counter(str(Path(name).parent) for name in swift)
    print(f"hand-written sources\t{len(sources)} files, {lines(sources)} lines")
    print(f"tests : sources\t{lines(tests) / max(1, lines(sources)):.2f} of lines")
    for folder, count in folders.most_common(3):
        print(f"largest flat folder\t{count} files in {folder}")
    longest = max(swift, key=lambda name: swift[name].count("\n"))
    print(f"longest file\t{swift[longest].count(chr(10))} lines, {longest}")
    # Who puts a question on the bus makes its subject.
    asking = re.compile(r'^[^/\n]*"[^"\n]*\.queries\.(?:\\\(|[a-z])', re.MULTILINE)
    askers = sorted(name for name, text in sources.items() if asking.search(text))
    print(f"files that build subjects of queries\t{len(askers)}: {', '.join(askers)}")
    waiting = [name for name, text in tests.items() if re.search(r"func (eventually|waitFor)\(", text)]
    print(f"copies of waiting in tests\t{len(waiting)}")
    pages = {Path(name).name for name in files if name.endswith(".md")}
    records = {int(Path(name).name[:3]) for name in files if "/Decisions/" in name and Path(name).name[:3].isdigit()}
    cited, decided = Counter(), Counter()
    for name, text in files.items():
        if name.startswith("schemas/opentelemetry/") or "/Generated/" in name or name == "CHANGELOG.md":
            continue
        if not name.endswith((".swift", ".md", ".proto", ".yaml", ".yml", ".sh", ".py", ".c", ".h")):
            continue
        for line in text.splitlines():
            if "://" not in line:
                cited.update(page for page in re.findall(r"\b([A-Za-z0-9-]+\.md)\b", line) if page not in pages)
            decided.update(number for number in map(int, re.findall(r"[Dd]ecisions? (\d+)", line)) if number not in records)
    print(f"citations of pages that are not there\t{sum(cited.values())}: {', '.join(sorted(cited)[:8])}")
    print(f"citations of decisions without a record\t{sum(decided.values())}: {', '.join(map(str, sorted(decided)))}")


main()
