"""Errors that a user can correct; the command line and the hub show their text."""


class MexplainError(Exception):
    """An error that a user can correct; its text is one plain sentence with what was expected and what was found."""


class ClipError(MexplainError):
    """A clip that cannot be read, is too short, or has no picture."""


class FaceError(MexplainError):
    """No usable face in a clip or photo, or no landmark model to find one."""


class CheckpointError(MexplainError):
    """Weights that are missing, of another schema, or do not fit the network."""


class RecogniserError(MexplainError):
    """A network of one's own that cannot be loaded, fails, hangs, or answers something else than logits."""


class DatasetError(MexplainError):
    """A data set with an unexpected spreadsheet, folder or frame, or with clips that do not suit the protocol."""


class SettingError(MexplainError):
    """An option with a value outside its range or set of choices."""


class OutOfTimeError(MexplainError):
    """A request that takes longer than its limit."""
