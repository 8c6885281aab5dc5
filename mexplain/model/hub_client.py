"""The Hugging Face Hub: files fetched and sent, each failure as one sentence."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mexplain.errors import CheckpointError

# The client itself waits and asks again where a file is looked for or a connection breaks; not where the Hub is busy
# once a file is under way.
_BUSY = (429, 500, 502, 503, 504)
_PAUSES_S = (1.0, 4.0)
_LIBRARY = "mexplain"
# In this order: an error of an upload carries its cause.
_FAILURES = (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError, ValueError)
Result = TypeVar("Result")


def split_revision(source: str, revision: str | None = None) -> tuple[str, str | None]:
    """Split repository and revision of ``org/name`` or ``org/name@revision``.

    Raises ``CheckpointError`` if ``revision`` is another than the named one.
    """
    repository, _, named = source.partition("@")
    if named and revision and named != revision:
        raise CheckpointError(f"Two revisions were given, {named} and {revision}; give one.")
    return repository, named or revision or None


def fetch(repository: str, name: str, revision: str | None) -> Path:
    """A file of a repository in the local cache, fetched if need be; its folder is named after the commit.

    Raises ``CheckpointError``, in one sentence, for whatever keeps it from being there.
    """

    def download() -> Path:
        return Path(hf_hub_download(repository, name, revision=revision, library_name=_LIBRARY))

    return _retry(download, repository, name, revision)


def fetch_if_there(repository: str, name: str, commit: str) -> Path | None:
    """A file of a commit in the local cache, or None where the repository (without a network: the cache) has none.

    Raises ``CheckpointError``, in one sentence, for whatever else keeps it from being there.
    """
    try:
        return fetch(repository, name, commit)
    except CheckpointError as error:
        cause = error.__cause__
        absent = isinstance(cause, RemoteEntryNotFoundError)
        if absent or (isinstance(cause, LocalEntryNotFoundError) and constants.is_offline_mode()):
            return None
        raise


def fetch_all(repository: str, names: Sequence[str], commit: str) -> None:
    """Fetch several files of a commit into the local cache, at once.

    Raises ``CheckpointError``, in one sentence, if one is not in the repository or for whatever else keeps it from
    being there.
    """

    def download() -> str:
        return snapshot_download(repository, revision=commit, allow_patterns=list(names), library_name=_LIBRARY)

    _retry(download, repository, "The checkpoint", commit)
    # Where the Hub is busy, snapshot_download returns the cached folder and does not say what it lacks.
    for name in names:
        fetch(repository, name, commit)


def _retry(
    work: Callable[[], Result], repository: str, name: str, revision: str | None, *, sending: bool = False
) -> Result:
    """Call ``work``, again where the Hub is busy; raises ``CheckpointError``, in one sentence, for each failure."""
    for pause in (*_PAUSES_S, None):
        try:
            return work()
        except _FAILURES as error:
            busy = isinstance(error, HfHubHTTPError) and error.response.status_code in _BUSY
            if pause is None or not busy:
                raise CheckpointError(_sentence(error, repository, name, revision, sending)) from error
            time.sleep(pause)
    raise AssertionError("unreachable")


def names_in(repository: str, revision: str | None) -> list[str]:
    """Names of all files of a repository."""
    api = HfApi(library_name=_LIBRARY)
    return _retry(lambda: api.list_repo_files(repository, revision=revision), repository, "The list of files", revision)


def send(repository: str, files: Mapping[str, Path | bytes], *, branch: str | None, private: bool, says: str) -> str:
    """Send files to a repository in one commit, and return its hash; the repository is made if need be.

    Raises ``CheckpointError``, in one sentence, for whatever keeps them from getting there; then nothing has changed.
    """
    api = HfApi(library_name=_LIBRARY)
    additions = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in files.items()
    ]

    def commit() -> str:
        api.create_repo(repository, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repository, branch=branch, exist_ok=True)
        return str(api.create_commit(repository, additions, commit_message=says, revision=branch).oid)

    return _retry(commit, repository, "The checkpoint", branch, sending=True)


def _sentence(error: Exception, repository: str, name: str, revision: str | None, sending: bool) -> str:
    what = f"{name} cannot be {'sent to' if sending else 'fetched from'} the Hub"
    has_token = get_token() is not None
    status = _status(error)
    if isinstance(error, HFValidationError):
        return f"{repository!r} is neither a folder here nor a Hub repository such as organisation/name."
    if isinstance(error, GatedRepoError):
        remedy = "ask for access on its page" if has_token else "ask for access on its page, then set HF_TOKEN"
        return f"{repository} is gated: {remedy}."
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision {revision}."
    if isinstance(error, RemoteEntryNotFoundError):
        return f"{repository} lacks {name}."
    if isinstance(error, RepositoryNotFoundError):
        if has_token:
            return f"{repository} is not on the Hub, or it is private and your token may not read it."
        return f"{repository} is not on the Hub, or it is private and there is no token; set HF_TOKEN to read it."
    if status == 401:
        if has_token:
            return f"{repository}: the Hub does not accept your token; check HF_TOKEN."
        return f"{repository}: the Hub asks who you are; set HF_TOKEN to a token that may {_verb(sending)} it."
    if status == 403:
        return f"{repository}: your token may not {_verb(sending)} it."
    if status == 429:
        return f"{repository}: {what}, for it gets too many requests from here (429); try again in a few minutes."
    if status in _BUSY:
        return f"{repository}: {what}, for it is out of order ({status}); try again later."
    if isinstance(error, OfflineModeIsEnabled):
        return f"{repository}: {what} while HF_HUB_OFFLINE is set."
    if isinstance(error, EntryNotFoundError):
        if constants.is_offline_mode():
            return f"{repository}: the Hub may not be asked (HF_HUB_OFFLINE), and {name} is not in the cache."
        if "does not seem to be served by" in str(error):
            return f"{repository}: what answers at {constants.ENDPOINT} is not a Hub; check HF_ENDPOINT and the proxy."
        return f"{repository}: the Hub cannot be reached, and {name} is not in the cache."
    if isinstance(error, httpx2.HTTPError) and not isinstance(error, HfHubHTTPError):
        return f"{repository}: {what}, for the connection broke ({_first_line(error)})."
    return f"{repository}: {what} ({_first_line(error)})."


def _verb(sending: bool) -> str:
    return "write to" if sending else "read"


def _status(error: BaseException | None) -> int | None:
    """HTTP status behind an error, or behind one of its causes; None if there is none."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
