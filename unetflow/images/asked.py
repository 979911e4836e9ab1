"""How a user says which image is meant: by the sheet, or by options of a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """What messages name, so that a user finds where to mend what he asked for."""

    key: str  # with a place for the name of what is chosen
    path: str
    leave_out: str  # how to go on without an image
    wants: str  # who asks for a resolution
    resample: str  # how pixels that are not square are made so
    coarser: str  # what to do where an image is coarser than what is asked for

    def __call__(self, name: str) -> str:
        """Where `plane`, `channels` and others are given."""
        return self.path if name == "path" else self.key.format(name)


SHEET = Door(
    key="the sheet's {} column",
    path="the sheet's path",
    leave_out=", or take it out of the sheet",
    wants="the dataset wants",
    resample="set the dataset's mpp, to which they are resampled",
    coarser="Set the dataset's mpp to a resolution that its images have",
)
COMMAND = Door(
    key="--{}",
    path="the path",
    leave_out="",
    wants="the model was trained at",
    resample="use a model that was trained at a known resolution, to which they are resampled",
    coarser="Use a model that was trained at about the resolution of the image",
)
