from __future__ import annotations

import numpy as np

from trainer.instances import Overlap
from trainer.object_rows import list_objects
from trainer.table import to_csv


def test_true_objects_come_first_and_predicted_ones_with_a_partner_not_at_all() -> None:
    truth, prediction = np.zeros((2, 6, 12), np.uint8), np.zeros((2, 6, 12), np.uint8)
    truth[:, 1:4, 1:3] = 1  # found
    prediction[:, 1:4, 1:3] = 1
    truth[0, 5, 5:9] = 1  # met by one of its four voxels
    prediction[0, 5, 8:11] = 1
    prediction[1, 0, 11] = 1  # not there
    rows = list_objects(Overlap.measure(truth, prediction))
    assert [(r.kind, r.voxels, (r.z, r.y, r.x), round(r.best_iou, 4), r.found) for r in rows] == [
        ("true", 12, (0.5, 2.0, 1.5), 1.0, True),
        ("true", 4, (0.0, 5.0, 6.5), 0.1667, False),
        ("false", 3, (0.0, 5.0, 9.0), 0.1667, False),
        ("false", 1, (1.0, 0.0, 11.0), 0.0, False),
    ]


def test_nothing_gives_no_rows() -> None:
    nothing = np.zeros((2, 3, 3), np.uint8)
    assert list_objects(Overlap.measure(nothing, nothing)) == []


def test_a_table_has_a_column_a_field_and_none_is_empty() -> None:
    from dataclasses import dataclass

    @dataclass
    class Row:
        name: str
        share: float | None
        found: bool

    text = to_csv(Row, [Row("a,b", 1 / 3, True), Row("c", None, False)]).decode()
    assert text == 'name,share,found\n"a,b",0.333333,1\nc,,0\n'
    assert to_csv(Row, []).decode() == "name,share,found\n"
