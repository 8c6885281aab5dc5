"""Fit the mean depth of the 478 landmarks from a folder of photos, one face each; write one number a line.

    python -m tests.manual.fit_landmark_depth FOLDER mexplain/simulation/data/landmark_depth.txt

MediaPipe's own depths are turned, scaled and shifted onto their mean, face by face (generalised Procrustes), then made
symmetric and tipped so that the mean looks like the mean shape from the front.
"""

import sys
from pathlib import Path

import cv2
import mediapipe
import numpy as np

from mexplain.face.landmarker import open_landmarker
from mexplain.face.mesh import LEFT_PUPIL, RIGHT_PUPIL, mean_shape, mirror, stability

TIPS_DEG = np.arange(-20, 20.5, 0.5)


def read_meshes(folder: Path) -> np.ndarray:
    """Landmarks (x, y, z towards the camera) of each photo's face, in inter-ocular distances."""
    meshes = []
    with open_landmarker() as landmarker:
        for path in sorted(folder.glob("*.jpg")):
            picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            height, width, _ = picture.shape
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            for face in landmarker.detect(image).face_landmarks[:1]:
                meshes.append([(p.x * width, p.y * height, -p.z * width) for p in face])
    points = np.array(meshes)
    return points / np.linalg.norm(points[:, LEFT_PUPIL] - points[:, RIGHT_PUPIL], axis=-1)[:, None, None]


def lay_over(source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Turn, scale and shift a mesh onto another by weighted least squares (Kabsch)."""
    middle = weight @ target
    a, b = source - weight @ source, target - middle
    u, stretch, v = np.linalg.svd((a * weight[:, None]).T @ b)
    signs = np.array([1, 1, np.linalg.det(u @ v)])
    return (stretch * signs).sum() / (weight @ a**2).sum() * a @ (u * signs) @ v + middle


def fit_depth(meshes: np.ndarray) -> np.ndarray:
    """Mean depth of each landmark, 0 on the mean of stable skin."""
    weight = (stability() + 0.05) / (stability() + 0.05).sum()
    middle = np.median(meshes[..., 2] - np.median(meshes[..., 2], 1, keepdims=True), 0)
    mean = np.concatenate([mean_shape(), middle[:, None]], 1)
    for _ in range(10):
        mean = np.mean([lay_over(mesh, mean, weight) for mesh in meshes], axis=0)
        mean = (mean + mean[mirror()] * (-1, 1, 1)) / 2
        mean /= np.linalg.norm(mean[LEFT_PUPIL] - mean[RIGHT_PUPIL])
    target = mean_shape() - weight @ mean_shape()
    tries = []
    for tip in np.radians(TIPS_DEG):
        x, y, z = mean.T
        flat = np.stack([x, np.cos(tip) * y - np.sin(tip) * z], 1)
        flat -= weight @ flat
        scale = (weight @ (flat * target)).sum() / (weight @ flat**2).sum()
        miss = (weight @ (scale * flat - target) ** 2).sum()
        tries.append((miss, scale * (np.sin(tip) * y + np.cos(tip) * z)))
    depth = min(tries, key=lambda pair: pair[0])[1]
    return depth - stability() @ depth / stability().sum()


if __name__ == "__main__":
    depths = fit_depth(read_meshes(Path(sys.argv[1])))
    Path(sys.argv[2]).write_text("".join(f"{depth:.3f}\n" for depth in depths))
