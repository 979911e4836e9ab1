"""The pipeline as a part of another workflow: planned under other names, or refused in words."""

from pathlib import Path

import pytest
from pipeline import Project, path_without_slurm, tiny_project

pytestmark = pytest.mark.more

PARENT = """
import yaml

module segmentation:
    snakefile: "{snakefile}"
    config: yaml.safe_load(open("clone/config/config.yaml"))
{more}

use rule * from segmentation as cells_*

rule count:
    default_target: True
    input: "results/segmented.csv"
    output: "count.txt"
    shell: "wc -l < {{input}} > {{output}}"
"""


def planned(folder: Path, snakefile: str, more: str = "") -> tuple[int, str, dict[str, int]]:
    """A dry run of a workflow that loads the pipeline."""
    (folder / "bin").mkdir(exist_ok=True)
    project = Project(folder, path_without_slurm(folder / "bin"))
    (folder / "Snakefile").write_text(PARENT.format(snakefile=snakefile, more=more))
    done = project.snakemake("-n")
    return done.status, done.text, dict(done.planned()) if not done.status else {}


def test_another_workflow_plans_its_rules_and_ours(tmp_path: Path) -> None:
    inner = tiny_project(tmp_path / "clone", "")
    config = inner.config()
    config["images"] = "clone/config/images.tsv"
    inner.write_config(config)
    (tmp_path / "config").mkdir()  # that paths of the sheet are from
    (inner.folder / "config" / "nothing.npy").rename(tmp_path / "config" / "nothing.npy")
    status, text, jobs = planned(tmp_path, "clone/Snakefile")
    assert status == 0, text
    assert jobs["count"] == jobs["cells_train"] == 1
    assert jobs["cells_prepare_image"] == 5  # those that are segmented or learnt from
    status, text, _ = planned(tmp_path, "clone/Snakefile", '    prefix: "elsewhere"')
    assert status == 1
    assert "Take it out, and set the config's results to that folder" in text
