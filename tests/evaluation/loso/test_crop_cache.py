import os

import numpy as np
from support.loso import SMALL, painted

from mexplain.evaluation.datasets.readers import DATASETS
from mexplain.evaluation.loso import crop_cache as crops_module


def test_a_video_is_read_between_onset_and_offset(encode, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(crops_module, "prepare", lambda clip, **sizes: seen.append(clip) or painted(clip, **sizes))
    frames = np.stack([np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10)])
    path = encode("film.mp4", frames, rate=50, qp="0")
    (tmp_path / "list.csv").write_text("clip,subject,label,onset,offset,fps\nfilm.mp4,ann,calm,3,6,200\n")
    (sample,) = DATASETS["manifest"](tmp_path / "list.csv").samples
    (tmp_path / "cache").mkdir()
    crops = crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    (clip,) = seen
    np.testing.assert_allclose(clip.frames.mean((1, 2, 3)), [60, 80, 100, 120], atol=4)
    np.testing.assert_allclose(np.diff(clip.times_s), 1 / 200, atol=1e-6)
    assert len(set(crops.digests)) == 4
    again = crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    assert len(seen) == 1 and np.array_equal(again.frames, crops.frames) and again.digests == crops.digests
    os.utime(path, ns=(1, 1))
    crops_module.load_crops(sample, SMALL, tmp_path / "cache")
    assert len(seen) == 2
