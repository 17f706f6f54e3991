from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX.proto.event_pb2 import Event

from search.event_file import EventFile


def read(folder: Path) -> Iterator[Any]:
    """Events as TensorBoard reads them: each a record between its length and its checksums."""
    for path in sorted(folder.glob("events.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_scores_and_picture_of_every_epoch_can_be_read(tmp_path: Path) -> None:
    events = EventFile(tmp_path, 12, {"learning_rate": 0.001})
    events.write(1, {"dice": 0.5, "loss": 0.7}, np.zeros((8, 8, 3), np.uint8))
    events.write(2, {"dice": 0.75, "loss": 0.6}, np.zeros((8, 8, 3), np.uint8))
    events.close()
    found = [
        (value.tag, event.step, value)
        for event in read(tmp_path / "00012")
        for value in event.summary.value
    ]
    scalars = {
        (tag, step): value.simple_value for tag, step, value in found if tag in ("dice", "loss")
    }
    assert scalars[("dice", 1)] == 0.5
    assert scalars[("dice", 2)] == 0.75
    pictures = [value.image for tag, _, value in found if tag == "section"]
    assert [(image.height, image.width) for image in pictures] == [(8, 8), (8, 8)]
    assert any("learning_rate" in str(value) for _, _, value in found)
