"""What can go wrong for a user; only ``app.py`` and ``cli.py`` turn these into messages."""


class MexplainError(Exception):
    """Something a user can mend; its text is one plain sentence saying what was expected and what came."""


class ClipError(MexplainError):
    """A clip that cannot be read, is too short, or holds no picture."""


class FaceError(MexplainError):
    """No usable face in a clip or photo, or no landmark model to look for one."""


class CheckpointError(MexplainError):
    """Weights that are missing, of another schema, or do not fit the network."""


class DatasetError(MexplainError):
    """A data set whose sheet, folders or frames are not as expected, or whose clips do not suit the protocol."""


class SettingError(MexplainError):
    """An option with a value outside its range or set of choices."""


class OutOfTimeError(MexplainError):
    """A question that takes longer to answer than it may."""
