"""Where the workflow lies: beside the package in a clone, within it where a wheel was installed."""

from pathlib import Path

from unetflow.errors import ConfigError

PACKAGE = Path(__file__).parents[1]
IN_WHEEL = PACKAGE / "pipeline"  # setup.py puts it there
SNAKEFILE, SCHEMAS, PROFILES = "Snakefile", Path("workflow", "schemas"), "profiles"


def workflow_folder() -> Path:
    """The folder that the Snakefile lies in.

    The working folder, as an empty path, where that is a clone; else that of this package. Raises
    ConfigError where the package came without.
    """
    for folder in (Path(), IN_WHEEL, PACKAGE.parent):
        if (folder / SNAKEFILE).is_file() and (folder / SCHEMAS).is_dir():
            return folder
    raise ConfigError(
        f"there is no Snakefile with its workflow beside {PACKAGE}. Install unetflow of a clone "
        "(envs/install.sh) or of a wheel, or run the command in the folder of a clone."
    )


def snakefile_arguments(folder: Path) -> list[str]:
    """What names the Snakefile to Snakemake, nothing where it finds that by itself."""
    return [] if folder == Path() else ["--snakefile", str(folder / SNAKEFILE)]


def without_config(path: str | Path) -> str:
    """What to say of a config that is not there."""
    return f"there is no config {path}; `unetflow init FOLDER` writes one of a folder of images."


def text_of_config(path: str | Path) -> str:
    """A config as it stands in its file. Raises ConfigError for what is no text in UTF-8."""
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8 "
            "in the editor that it was written with, or write umlauts and accents without them."
        ) from error
