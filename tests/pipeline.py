"""A small copy of the project, and Snakemake in it: what the tests of the workflow share."""

import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "scripts", "unetflow", "profiles", "envs", "config")
HEADER = "image\tdataset\tpath\ttruth\tsplit"
IMAGES = (("train_00", "train"), ("train_01", "train"), ("validation_00", "validation"))
TESTED = (("test_00", "test", ".tif"), ("slide", "test", ".ome.tif"))
SLURM = {"sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun"}

# Each Python process that Snakemake starts says how many arenas of glibc it had.
COUNTS_ARENAS = """
import atexit, ctypes, os, re, sys, tempfile

def write_arenas():
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    with tempfile.NamedTemporaryFile("r") as file:
        stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
        library.malloc_info(0, stream)
        library.fclose(stream)
        arenas = len(re.findall("<heap nr", file.read()))
    script = re.sub(".*[.]", "", sys.argv[0].removesuffix(".py"))
    with open(os.path.join(os.path.dirname(__file__), "arenas.txt"), "a") as counts:
        counts.write(f"{script} {arenas}\\n")

atexit.register(write_arenas)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of Snakemake ended: its exit status, and all that it printed."""

    status: int
    text: str

    def planned(self) -> Counter[str]:
        """Rules and numbers of jobs that a dry run lists."""
        assert self.status == 0, self.text
        if "Nothing to be done" in self.text:
            return Counter()
        table = self.text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
        pairs = (line.split() for line in table if line.strip())
        return Counter({rule: int(count) for rule, count in pairs if rule != "all"})


@dataclass(frozen=True, slots=True)
class Project:
    """A copy of the project in `folder`; `path` is the PATH that Snakemake has there."""

    folder: Path
    path: str

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def config_path(self) -> Path:
        return self.folder / "config" / "config.yaml"

    def config(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.config_path.read_text()))

    def write_config(self, config: dict[str, Any]) -> None:
        self.config_path.write_text(yaml.safe_dump(config))

    @property
    def demo_data(self) -> Path:
        return self.folder / "data" / "demo"

    def write_case(
        self, name: str, config: dict[str, Any], rows: list[str], header: str = HEADER
    ) -> str:
        """A config of that name and its sheet of `rows`; returns the config's path."""
        sheet = f"config/{name}.tsv"
        (self.folder / sheet).write_text("\n".join([header, *rows]) + "\n")
        (self.folder / f"config/{name}.yaml").write_text(yaml.safe_dump(config | {"images": sheet}))
        return f"config/{name}.yaml"

    def copied_to(self, folder: Path) -> "Project":
        """The same with all results elsewhere, times of files kept."""
        shutil.copytree(self.folder, folder)
        return Project(folder, self.path)

    def snakemake(self, *arguments: str) -> Done:
        """Run `snakemake --cores 2` with these arguments in the folder."""
        with self.started(*arguments, stdout=subprocess.PIPE) as process:
            text, _ = process.communicate()
        return Done(process.returncode, text)

    def started(self, *arguments: str, stdout: IO[str] | int) -> subprocess.Popen[str]:
        """The same while it runs, in a process group of its own; errors are among the output."""
        return subprocess.Popen(
            ["snakemake", "--cores", "2", *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": self.path, "PYTHONPATH": str(self.folder)},
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@contextmanager
def changed(path: Path, content: str | bytes) -> Iterator[None]:
    """The file has other content meanwhile, and then what it had, of the same time."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def annotated(name: str, split: str, suffix: str = ".tif") -> str:
    """The row of an image of the demo with its truth."""
    return f"{name}\tcells\t{{data}}/{name}{suffix}\t{{data}}/{name}_truth.tif\t{split}"


def tiny_project(folder: Path, path: str) -> Project:
    """A copy of the project with a config that takes seconds."""
    folder.mkdir(exist_ok=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    rows = [annotated(name, split) for name, split in IMAGES]
    rows += [annotated(*row) for row in TESTED]
    rows = [f"{row}\t" for row in rows]
    rows.append("unlabelled\tcells\t{data}/test_00.tif\t\tpredict\t")
    rows.append("empty\tcells\t{data}/test_00.tif\t\tpredict\tconfig/nothing.npy")
    np.save(folder / "config" / "nothing.npy", np.zeros((3, 3), np.uint8))
    (folder / "config" / "images.tsv").write_text("\n".join([HEADER + "\ttissue", *rows]) + "\n")
    project = Project(folder, path)
    config = project.config()
    config["demo"] |= {"image_px": 128, "slide_px": 600}
    config["experiments"]["unet"]["network"] |= {"base_channels": 4, "depth": 2}
    config["experiments"]["unet"]["recipe"] |= {"tile_px": 92, "steps": 12, "validate_every": 6}
    config["predict"] |= {"write_px": 256, "shard_px": 512}
    config["export"] = {"formats": ["geojson", "labels", "overlay"], "splits": ["predict"]}
    config["calibrate"]["thresholds"] = config["evaluate"]["thresholds"] = [0.3, 0.5]
    project.write_config(config)
    if platform.libc_ver()[0] == "glibc":
        (folder / "sitecustomize.py").write_text(COUNTS_ARENAS)
    return project


def path_without_slurm(folder: Path) -> str:
    """PATH without SLURM: with its programs but no daemon every start takes ten seconds longer."""
    kept = [str(Path(sys.executable).parent)]
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        if (place / "scontrol").exists():
            mirror = folder / f"bin{len(kept)}"
            mirror.mkdir()
            for program in place.iterdir():
                if program.name not in SLURM:
                    (mirror / program.name).symlink_to(program)
            place = mirror
        kept.append(str(place))
    return os.pathsep.join(kept)
