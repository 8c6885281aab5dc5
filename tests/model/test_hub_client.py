"""Checkpoints to and from a Hub on this machine, with the real client, and everything that can go wrong on the way."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.loopback_hub import TOKEN, Fault, LoopbackHub, Repository, loopback_hub

from mexplain.cli.main import main
from mexplain.errors import CheckpointError
from mexplain.explain.explain import explain
from mexplain.model.checkpoint import CONFIG, SHIPPED, WEIGHTS, from_pretrained, load_checkpoint, save_checkpoint
from mexplain.model.config import PRESETS
from mexplain.model.file_hashes import SUMS
from mexplain.model.network import MicroExpressionNet
from mexplain.model.publishing import pull_from_hub, push_to_hub, verify
from mexplain.records import ExplainRequest
from mexplain.report.json_export import to_json

pytestmark = pytest.mark.slow

REPO = "lab/smiles"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that tells three classes of its own apart, with a card and measurements beside it."""
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    config = replace(
        PRESETS["lite"], labels=("calm", "amused", "startled"), block_channels=8, block_features=8, fused_features=16
    )
    save_checkpoint(MicroExpressionNet(config), folder)
    sha256 = json.loads((folder / CONFIG).read_text())["sha256"]
    (folder / "metrics.json").write_text(json.dumps({"checkpoint_sha256": sha256}))
    (folder / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n\nWeights: {sha256}\n")
    (folder / "scorecard.json").write_text(json.dumps({"checkpoint_sha256": sha256}))
    (folder / "notes.txt").write_text("not published")
    return folder


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: list[float]) -> Iterator[LoopbackHub]:
    """The Hub, with the client sent there, a cache of its own, a token, and no time lost in waiting."""
    with loopback_hub() as running:
        constants = "huggingface_hub.constants."
        monkeypatch.setattr(constants + "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants + "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants + "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants + "HF_TOKEN_PATH", str(tmp_path / "no_token"))
        monkeypatch.setattr(constants + "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants + "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("time.sleep", waits.append)
        yield running


@pytest.fixture
def published(hub: LoopbackHub, measured: Path) -> Repository:
    """The small network, there without having been pushed."""
    hub.repositories[REPO] = Repository()
    files = {name: (measured / name).read_bytes() for name in (CONFIG, WEIGHTS, "README.md", "metrics.json")}
    hub.repositories[REPO].commit(files)
    return hub.repositories[REPO]


def logits(model: MicroExpressionNet) -> torch.Tensor:
    frames = torch.rand(1, 5, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    low = torch.rand(1, 24, 2, generator=torch.Generator().manual_seed(2)) * 80
    boxes = torch.cat([low, low + 30], dim=-1)
    with torch.inference_mode():
        outputs = model(frames, {"24": boxes, "10": boxes[:, :10], "uncropped": boxes[:, :0]})
    return torch.stack([output.logits for output in outputs.values()])


def test_what_is_pushed_is_what_is_pulled(hub: LoopbackHub, measured: Path, tmp_path: Path) -> None:
    commit = push_to_hub(measured, REPO)
    loaded = from_pretrained(REPO)
    assert torch.equal(logits(loaded.model), logits(load_checkpoint(measured).model))
    assert loaded.revision == commit and loaded.id == loaded.source == f"{REPO}@{commit}"
    assert loaded.model.config.labels == ("calm", "amused", "startled")
    # The scorecard travels along, and is there for whoever asks how good the explanations are.
    assert (loaded.folder / "scorecard.json").is_file()
    assert pull_from_hub(REPO, tmp_path / "here") == commit
    copied = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert SUMS in copied and "notes.txt" not in copied
    assert all(copied[name] == (measured / name).read_bytes() for name in copied if name != SUMS)
    assert torch.equal(logits(load_checkpoint(tmp_path / "here").model), logits(loaded.model))
    assert {name for name, _ in verify(REPO)} == set(copied) - {SUMS}
    with pytest.raises(CheckpointError, match="holds something already"):
        pull_from_hub(REPO, tmp_path / "here")


def test_the_record_is_one_that_other_tools_read(hub: LoopbackHub, measured: Path, tmp_path: Path) -> None:
    push_to_hub(measured, REPO)
    pull_from_hub(REPO, tmp_path / "here")
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=tmp_path / "here", capture_output=True, text=True)
    assert done.returncode == 0 and f"{WEIGHTS}: OK" in done.stdout


def test_the_shipped_weights_pass_through_the_hub(hub: LoopbackHub, person_path: Path) -> None:
    hub.repositories[REPO] = Repository()
    hub.repositories[REPO].commit({name: (SHIPPED / name).read_bytes() for name in (CONFIG, WEIGHTS)})
    loaded, local = load_checkpoint(REPO), load_checkpoint()
    assert torch.equal(logits(loaded.model), logits(local.model))
    assert (loaded.calibration, loaded.moment_floor) == (local.calibration, local.moment_floor)
    report = explain(person_path, loaded, ExplainRequest((), variants=("10",), start_s=0.2, end_s=0.5))
    said = to_json(report)["checkpoint"]
    assert said == {"id": f"{REPO}@{loaded.revision}", "sha256": loaded.sha256, "revision": loaded.revision}


def test_a_revision_stays_what_it_was(hub: LoopbackHub, published: Repository, measured: Path, tmp_path: Path) -> None:
    first = published.branches["main"]
    shutil.copytree(measured, tmp_path / "other")
    torch.manual_seed(1)
    save_checkpoint(MicroExpressionNet(load_checkpoint(measured).model.config), tmp_path / "other")
    second = published.commit({name: (tmp_path / "other" / name).read_bytes() for name in (CONFIG, WEIGHTS)})
    assert load_checkpoint(REPO).revision == second
    old = load_checkpoint(f"{REPO}@{first}")
    assert old.revision == first
    assert old.sha256 == load_checkpoint(measured).sha256 == load_checkpoint(REPO, revision=first).sha256
    assert load_checkpoint(old.source).sha256 == old.sha256
    with pytest.raises(CheckpointError, match="Two revisions were given"):
        load_checkpoint(f"{REPO}@{first}", revision=second)
    with pytest.raises(CheckpointError, match="has no revision nowhere"):
        load_checkpoint(f"{REPO}@nowhere")


def test_a_branch_that_moves_while_it_is_fetched_gives_one_commit(
    hub: LoopbackHub, published: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = published.branches["main"]
    serve = type(published).find

    def moving(repository: Repository, revision: str) -> str | None:
        found = serve(repository, revision)
        if revision == "main":
            repository.commit({WEIGHTS: b"of the next commit"})
        return found

    monkeypatch.setattr(Repository, "find", moving)
    assert load_checkpoint(REPO).revision == first


def test_pushing_to_a_branch_leaves_main_alone(hub: LoopbackHub, measured: Path) -> None:
    push_to_hub(measured, REPO, private=True)
    main_commit = hub.repositories[REPO].branches["main"]
    (measured / "training.json").write_text("{}")
    commit = push_to_hub(measured, REPO, branch="next")
    (measured / "training.json").unlink()
    assert hub.repositories[REPO].branches == {"main": main_commit, "next": commit}
    assert hub.repositories[REPO].private
    assert load_checkpoint(REPO, revision="next").revision == commit


def test_only_what_was_measured_is_published(hub: LoopbackHub, measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path / "a")
    (tmp_path / "a" / "claim.json").write_text(json.dumps({"trunk_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"claim\.json is about other weights .* run `compare-variants` anew"):
        push_to_hub(tmp_path / "a", REPO)
    (tmp_path / "a" / "metrics.json").write_text(json.dumps({"checkpoint_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"metrics\.json is about other weights .* run `evaluate` anew"):
        push_to_hub(tmp_path / "a", REPO)
    (tmp_path / "a" / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match=r"lacks metrics\.json, which say what was measured"):
        push_to_hub(tmp_path / "a", REPO)
    (tmp_path / "a" / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="damaged or belongs to another config"):
        push_to_hub(tmp_path / "a", REPO)
    with pytest.raises(CheckpointError, match="is no folder"):
        push_to_hub(tmp_path / "nowhere", REPO)
    assert not hub.seen


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def tampered(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], dict[str, bytes]]:
    """Return a function that changes the tensors and makes config and hash fit again, as a careless hand would."""

    def make(folder: Path) -> dict[str, bytes]:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text())
        config["sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        return {CONFIG: json.dumps(config).encode(), WEIGHTS: (folder / WEIGHTS).read_bytes()}

    return make


def changed(**keys: object) -> Callable[[Path], dict[str, bytes]]:
    return lambda folder: {CONFIG: json.dumps({**json.loads((folder / CONFIG).read_text()), **keys}).encode()}


def renamed(tensors: dict[str, torch.Tensor]) -> None:
    tensors["trunk.0.wait"] = tensors.pop("trunk.0.weight")


def reshaped(tensors: dict[str, torch.Tensor]) -> None:
    tensors["trunk.0.weight"] = tensors["trunk.0.weight"][:, :, :1].contiguous()


def retyped(tensors: dict[str, torch.Tensor]) -> None:
    tensors["trunk.0.weight"] = tensors["trunk.0.weight"].double()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (tampered(renamed), r"2 tensors are missing or unknown, the first is trunk\.0\.wait"),
        (tampered(reshaped), r"trunk\.0\.weight must have shape \(24, 3, 3, 3\), got \(24, 3, 1, 3\)"),
        (tampered(retyped), r"trunk\.0\.weight must have type torch\.float16, got torch\.float64"),
        (lambda folder: {WEIGHTS: flipped((folder / WEIGHTS).read_bytes())}, "the file is damaged or belongs to"),
        (lambda folder: {CONFIG: b"{"}, "not valid JSON"),
        (changed(schema_version=7), "schema_version 1, got 7"),
        (changed(blocks={"24": ["forehead"], "10": [], "uncropped": []}), "blocks of variant '24' are not those"),
        (changed(blocks=[]), "blocks must be a filled dict"),
        (changed(layouts={"24": [], "10": [], "uncropped": []}), "blocks of variant '24' lie elsewhere"),
        (changed(model={"preset": "lite"}), "keys of model must be those of ModelConfig"),
        (lambda folder: {SUMS: b"no record\n"}, "must hold a SHA-256"),
        (lambda folder: {SUMS: b"0" * 64 + b"  config.json\n"}, r"config\.json has SHA-256 .* but SHA256SUMS"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be_is_refused(
    published: Repository,
    measured: Path,
    tmp_path: Path,
    change: Callable[[Path], dict[str, bytes]],
    sentence: str,
) -> None:
    shutil.copytree(measured, tmp_path / "a")
    published.commit(change(tmp_path / "a"))
    with pytest.raises(CheckpointError, match=sentence) as caught:
        load_checkpoint(REPO)
    assert "\n" not in str(caught.value)


def test_odd_sizes_are_refused(measured: Path, tmp_path: Path) -> None:
    shutil.copytree(measured, tmp_path / "a")
    config = json.loads((tmp_path / "a" / CONFIG).read_text())
    for key, value, sentence in (
        ("labels", "calm", "labels of model must look like"),
        ("frames", "12", "frames of model must look like 12, got '12'"),
        ("trunk", ["many"], "no network can be built"),
    ):
        (tmp_path / "a" / CONFIG).write_text(json.dumps({**config, "model": {**config["model"], key: value}}))
        with pytest.raises(CheckpointError, match=sentence):
            load_checkpoint(tmp_path / "a")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(hub: LoopbackHub, published: Repository, name: str) -> None:
    del published.commits[published.branches["main"]][name]
    with pytest.raises(CheckpointError, match=rf"{REPO} lacks {name}\."):
        load_checkpoint(REPO)


def test_a_busy_hub_leaves_no_file_out(hub: LoopbackHub, measured: Path, tmp_path: Path) -> None:
    push_to_hub(measured, REPO)
    hub.faults.append(Fault("GET", "/tree/", times=99, status=503))
    pull_from_hub(REPO, tmp_path / "here")
    assert {path.name for path in (tmp_path / "here").iterdir()} >= {CONFIG, WEIGHTS, SUMS, "README.md", "metrics.json"}
    hub.faults.append(Fault("HEAD", SUMS, times=99, status=503))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CheckpointError, match=r"SHA256SUMS cannot be fetched from the Hub, for it is out of order"):
        load_checkpoint(REPO)


def test_a_pickle_is_never_read(published: Repository, measured: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    pickle = (tmp_path / "pytorch_model.bin").read_bytes()
    del published.commits[published.branches["main"]][WEIGHTS]
    published.commit({"pytorch_model.bin": pickle})
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors and holds a pickle, which is not read"):
        load_checkpoint(REPO)
    shutil.copytree(measured, tmp_path / "a")
    (tmp_path / "a" / WEIGHTS).rename(tmp_path / "a" / "model.pt")
    with pytest.raises(CheckpointError, match=r"lacks model\.safetensors\. model\.pt is a pickle"):
        load_checkpoint(tmp_path / "a")


def test_a_file_damaged_on_its_way_is_refused(hub: LoopbackHub, published: Repository) -> None:
    hub.faults.append(Fault("GET", "/storage/", flip=True))
    with pytest.raises(CheckpointError, match="the file is damaged"):
        load_checkpoint(REPO)


def test_a_file_damaged_in_the_cache_is_refused(hub: LoopbackHub, measured: Path) -> None:
    push_to_hub(measured, REPO)
    loaded = load_checkpoint(REPO)
    for name in (WEIGHTS, CONFIG):
        path = (loaded.folder / name).resolve()
        whole = path.read_bytes()
        path.write_bytes(flipped(whole))
        with pytest.raises(CheckpointError, match=f"{name} has SHA-256 .* damaged or was changed"):
            load_checkpoint(REPO)
        path.write_bytes(whole)
    assert load_checkpoint(REPO).sha256 == loaded.sha256


def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    hub: LoopbackHub, published: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client keeps whole pieces only, and the network of this test is smaller than one.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)
    size = len(published.commits[published.branches["main"]][WEIGHTS])
    hub.faults.append(Fault("GET", "/storage/", cut=0.6))
    assert load_checkpoint(REPO).revision == published.branches["main"]
    first, second = hub.requests("GET", "/storage/")
    assert "range" not in first and "authorization" not in first
    assert 0.5 * size < int(second["range"].removeprefix("bytes=").rstrip("-")) <= 0.6 * size


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("method", "path"), [("HEAD", CONFIG), ("GET", "/storage/")])
def test_a_busy_hub_is_asked_again(
    hub: LoopbackHub, published: Repository, waits: list[float], status: int, method: str, path: str
) -> None:
    hub.faults.append(Fault(method, path, times=2, status=status, headers={"Retry-After": "3"}))
    assert load_checkpoint(REPO).revision == published.branches["main"]
    assert not hub.faults and sum(waits) >= 1


@pytest.mark.parametrize(
    ("status", "sentence"), [(429, r"too many requests from here \(429\)"), (503, r"out of order \(503\); try again")]
)
@pytest.mark.parametrize(("method", "path"), [("HEAD", CONFIG), ("GET", "/storage/")])
def test_a_hub_that_stays_busy_is_one_sentence(
    hub: LoopbackHub, published: Repository, status: int, sentence: str, method: str, path: str
) -> None:
    hub.faults.append(Fault(method, path, times=99, status=status))
    with pytest.raises(CheckpointError, match=f"{REPO}: .* cannot be fetched from the Hub, for it .*{sentence}"):
        load_checkpoint(REPO)


@pytest.mark.parametrize(
    ("private", "gated", "token", "sentence"),
    [
        (True, False, None, "is private and there is no token; set HF_TOKEN"),
        (False, True, None, "is gated: ask for access on its page, then set HF_TOKEN"),
        (False, True, TOKEN, "is gated: ask for access on its page"),
        (False, False, "hf_other", "the Hub does not accept your token"),
    ],
)
def test_those_who_may_not_read_are_told_why(
    hub: LoopbackHub,
    published: Repository,
    monkeypatch: pytest.MonkeyPatch,
    private: bool,
    gated: bool,
    token: str | None,
    sentence: str,
) -> None:
    published.private, published.gated = private, gated
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CheckpointError, match=sentence):
        load_checkpoint(REPO)


def test_a_repository_that_is_not_there(hub: LoopbackHub) -> None:
    with pytest.raises(CheckpointError, match="nobody/nothing is not on the Hub, or it is private and your token"):
        load_checkpoint("nobody/nothing")


def test_the_cache_serves_when_the_hub_does_not(
    hub: LoopbackHub, published: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_checkpoint(REPO)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(hub.seen)
    again = load_checkpoint(REPO)
    assert (again.revision, again.sha256, len(hub.seen)) == (first.revision, first.sha256, asked)
    with pytest.raises(CheckpointError, match=r"may not be asked \(HF_HUB_OFFLINE\), and config\.json is not in the"):
        load_checkpoint("lab/other")
    with pytest.raises(CheckpointError, match="cannot be sent to the Hub while HF_HUB_OFFLINE is set"):
        push_to_hub_of(first.folder)


def push_to_hub_of(folder: Path) -> str:
    for name in ("README.md", "metrics.json"):
        if not (folder / name).is_file():
            (folder / name).write_text(load_checkpoint(folder).sha256)
    return push_to_hub(folder, REPO)


def test_no_network_is_one_sentence(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(CheckpointError, match=r"the Hub cannot be reached, and config\.json is not in the cache"):
        load_checkpoint(REPO)


def test_an_upload_that_fails_publishes_nothing(hub: LoopbackHub, measured: Path, waits: list[float]) -> None:
    hub.faults.append(Fault("PUT", "/storage/", times=99, status=403))
    with pytest.raises(CheckpointError, match="your token may not write to it"):
        push_to_hub(measured, REPO)
    assert list(hub.repositories[REPO].commits[hub.repositories[REPO].branches["main"]]) == [".gitattributes"]
    hub.faults[:] = [Fault("POST", "/commit/", times=1, status=503)]
    commit = push_to_hub(measured, REPO)
    assert hub.repositories[REPO].branches["main"] == commit and waits


def test_whoever_has_no_token_cannot_push(hub: LoopbackHub, measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(CheckpointError, match="asks who you are; set HF_TOKEN to a token that may write to it"):
        push_to_hub(measured, REPO)


def test_the_command_line_asks_the_hub_that_the_environment_names(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loopback_hub() as hub:
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        script = (
            "import sys; from mexplain.cli.main import main\n"
            f"codes = [main(['hub', 'push', {str(measured)!r}, {REPO!r}]),"
            f" main(['hub', 'pull', '{REPO}@main', '--out', {str(tmp_path / 'here')!r}]),"
            f" main(['hub', 'verify', {REPO!r}])]\n"
            "sys.exit(max(codes))"
        )
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        commit = hub.repositories[REPO].branches["main"]
    assert f"Published as {REPO}@{commit}" in done.stdout
    assert f"holds {REPO}@{commit}" in done.stdout
    assert "All as published." in done.stdout
    assert main(["hub", "verify", str(tmp_path / "here")]) == 0
    (tmp_path / "here" / "metrics.json").write_text("{}")
    assert main(["hub", "verify", str(tmp_path / "here")]) == 2
    assert "metrics.json has SHA-256" in capsys.readouterr().err
