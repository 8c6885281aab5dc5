"""One target of one clip."""

from mexplain.attribution.target import build_targets


def build_target(model, variant, frames, landmarks_xy, **options):
    return build_targets(model, frames[None], landmarks_xy[None], [variant], **options)[0][variant]
