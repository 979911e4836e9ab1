"""What a change plans and computes: python benchmarks/reruns.py FOLDER [--compute] [NAME ...]

A project of the tests is run once in FOLDER. Then each change of `rerun_changes.py` (or those whose
name has one of the words) is made to it, a dry run says what it would run, and it is taken back;
with `--compute` it is run too, on a copy, and what it wrote is compared. What is known already, in
benchmarks/results/reruns.json, is not measured again: the program goes on where it was stopped.
`--page` writes the table of docs/reruns.md.
"""

import argparse
import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pipeline import Project, path_without_slurm, tiny_project
from rerun_changes import Change, changes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "reruns.json"
PAGE = ROOT / "docs" / "reruns.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
GPU = ("--resources", "gpu=1")
ORDER = (
    *("draw_demo", "prepare_image", "prepare_truth", "weights", "statistics", "train"),
    *("predict_begin", "predict_part", "predict", "refine", "calibrate", "instances"),
    *("evaluate", "evaluate_stack", "export_geojson", "export_labels", "export_overlay"),
    *("export_stack", "integrity", "segmented", "collect", "outcome", "report", "verdict"),
)
# What each rule computes, if it does: files that are written only then
COMPUTED = {
    "prepare_image": "images/*.ome.zarr/*/c/**/*",
    "prepare_truth": "images/*.ome.zarr/labels/*/*/c/**/*",
    "weights": "weights/*/*.zarr/c/**/*",
    "train": "models/*/*/checkpoints/*",
    "predict": "predictions/*/*/*.ome.zarr/foreground/c/**/*",
    "refine": "predictions/*/*/*.ome.zarr/refined/c/**/*",
    "instances": "predictions/*/*/*.ome.zarr/labels/*/*/c/**/*",
}
BY_CONTENT = {  # their bytes, as they are written each time
    "statistics": "statistics/*/*.json",
    "calibrate": "calibration/*/*.json",
    "evaluate": "evaluation/*/fold*/*.csv",
    "exports": "exports/*/*/*",
    "integrity": "integrity.csv",
    "segmented": "segmented.csv",
    "collect": "evaluation/*.csv",
    "report": "report/headline.txt",
}


def in_words(counts: dict[str, int]) -> str:
    """Rules in the order of the pipeline, with the number of jobs where it is more than one."""
    known = [rule for rule in (*ORDER, *BY_CONTENT) if rule in counts]
    named = dict.fromkeys([*known, *counts])
    return ", ".join(r if counts[r] == 1 else f"{r} {counts[r]}" for r in named) or "nothing"


def finished(folder: Path) -> Project:
    """The project in this folder, run to its end."""
    path = folder / "path"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    place = folder / "project"
    if place.exists():
        project = Project(place, path_without_slurm(path))
    else:
        place.mkdir()
        project = tiny_project(place, path_without_slurm(path))
    done = project.snakemake(*GPU)
    if done.status:
        sys.exit(done.text)
    return project


def copied(project: Project, folder: Path) -> Project:
    shutil.rmtree(folder, ignore_errors=True)
    return project.copied_to(folder)


def planned(project: Project, change: Change) -> str:
    """What a dry run lists after the change."""
    change.do(project)
    done = project.snakemake("-n", *GPU, *change.arguments)
    if done.status:
        said = [line.strip() for line in done.text.splitlines() if line.startswith("  - ")]
        return f"refused: {' '.join(said) or 'see what it says'}".replace("|", "/")
    return in_words(done.planned())


def computed(project: Project, change: Change) -> str:
    """What a run writes anew after the change (which is made already)."""
    before = _state(project.results)
    done = project.snakemake(*GPU, *change.arguments)
    if done.status:
        return "it fails"
    after = _state(project.folder / project.config()["results"])
    new = Counter(rule for rule, path in after if after[rule, path] != before.get((rule, path)))
    return in_words(dict.fromkeys(new, 1))


def _state(results: Path) -> dict[tuple[str, Path], object]:
    """Of each file that a rule computes when it was written, or what is in it."""
    by_time = {
        (rule, path): path.stat().st_mtime_ns
        for rule, pattern in COMPUTED.items()
        for path in results.glob(pattern)
        if path.is_file()
    }
    by_content = {
        (rule, path): path.read_bytes()
        for rule, pattern in BY_CONTENT.items()
        for path in results.glob(pattern)
    }
    return {**by_time, **by_content}


def write_page(known: dict[str, dict[str, str]]) -> None:
    """The table of the page; what has no row yet is not measured."""
    rows = [_row(change.name, known.get(change.name, {})) for change in changes()]
    text = PAGE.read_text()
    table = ["", "| change | planned | computed |", "| --- | --- | --- |", *rows, ""]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n".join(table) + "\n" + END + after)


def _row(name: str, of: dict[str, str]) -> str:
    planned = of.get("planned", "not measured")
    none = planned == "nothing" or planned.startswith("refused")
    computed = of.get("computed", "nothing" if none else "not measured")
    short = re.sub(r"(export_\w+( \d+)?, )*export_\w+( \d+)?", "exports", planned)
    return f"| {name} | {short} | {computed} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compute", action="store_true")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_intermixed_args()
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.page:
        write_page(known)
        return
    project = finished(options.folder.resolve())
    for change in changes():
        if options.words and not any(word in change.name for word in options.words):
            continue
        of = known.setdefault(change.name, {})
        if "planned" in of and ("computed" in of or not options.compute):
            continue
        copy = copied(project, options.folder.resolve() / "copy")
        of["planned"] = planned(copy, change)
        if options.compute and not of["planned"].startswith("refused"):
            of["computed"] = computed(copy, change)
        print(f"{change.name}: {of}", flush=True)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
