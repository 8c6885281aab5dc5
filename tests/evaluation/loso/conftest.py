import pytest
import torch
from support.loso import SMALL

from mexplain.model.checkpoint import load_checkpoint, save_checkpoint
from mexplain.model.network import MicroExpressionNet


@pytest.fixture(scope="session")
def small_path(tmp_path_factory):
    """A network so small that it learns in no time; its weights are random."""
    folder = tmp_path_factory.mktemp("small")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_checkpoint(MicroExpressionNet(SMALL), folder)
    return folder


@pytest.fixture(scope="session")
def small(small_path):
    return load_checkpoint(small_path).model
