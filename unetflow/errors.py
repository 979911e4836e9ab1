"""What can go wrong for a user. Each message says what came, the rule it broke, the way out."""


class UnetflowError(Exception):
    """An error that a user can mend: shown without its traceback on the terminal."""


class ConfigError(UnetflowError):
    """The config or the sheet asks for something that cannot be."""


class SlideError(UnetflowError):
    """An image file that cannot be opened, read or used as asked."""


class TooLargeError(UnetflowError):
    """A file that takes more memory at once than there is."""


class LabelsError(UnetflowError):
    """A truth that does not fit its image or holds values without a meaning."""


class ReplacedError(SlideError, LabelsError):
    """A file that was replaced while it was read."""


class StoreError(UnetflowError):
    """A Zarr store or a receipt that cannot be written, read or trusted."""


class ModelError(UnetflowError):
    """A model that cannot be trained, loaded or applied as asked."""


class UnsuitableError(ModelError):
    """An image that a model cannot be applied to."""


class EngineError(UnetflowError):
    """Helpers that work is sent to, which do not answer, are lost or cannot do it."""
