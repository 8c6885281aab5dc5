import cv2
import numpy as np
from support.hand_made import make_report

from mexplain.report.summary_image import summary_image, summary_png


def test_a_card_has_a_column_for_each_variant_and_shows_its_heat():
    one = make_report("10", attention=np.ones(10), scores=np.linspace(-1, 1, 10))
    whole = make_report("uncropped", scores=np.linspace(-1, 1, 10))
    both = summary_image(one.__class__(**{**vars(one), "variants": one.variants + whole.variants}))
    single = summary_image(one)
    assert both.shape[1] > 1.9 * single.shape[1] and both.shape[0] == single.shape[0]
    colour = np.ptp(both.astype(int), axis=-1) > 40
    middle, half = both.shape[0] // 2, both.shape[1] // 2
    assert colour[60:middle, :half].mean() > 0.1, "attention of the ten blocks"
    assert colour[70 : middle - 60, half:].mean() < 0.02, "the whole face has no attention"
    assert colour[middle:, half:].mean() > 0.02
    decoded = cv2.imdecode(np.frombuffer(summary_png(both), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert (decoded == both).all()
