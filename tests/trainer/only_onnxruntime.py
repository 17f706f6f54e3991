"""Predicts with onnxruntime and numpy alone: FOLDER RAW OUT; step and reach as JSON on stdin."""

import json
import sys

import numpy as np
import onnxruntime

folder, raw, out = sys.argv[1:]
volume = np.load(raw)
step, reach = json.loads(sys.stdin.read())
low, high = np.percentile(volume, (1, 99))
x = ((volume - low) / (high - low)).astype("float32")
x = np.pad(x, ((reach, reach), (0, 0), (0, 0)), "edge")
x = np.lib.stride_tricks.sliding_window_view(x, 2 * reach + 1, axis=0)[..., ::reach]
height, width = volume.shape[1:]
x = np.pad(x, ((0, 0), (0, -height % step), (0, -width % step), (0, 0)), "reflect")
session = onnxruntime.InferenceSession(folder + "/model.onnx")
p = [session.run(None, {"raw": x[k : k + 1]})[0][0, :height, :width, 0] for k in range(len(x))]
np.save(out, np.stack(p))
assert not {"keras", "tensorflow", "trainer", "onnx"} & set(sys.modules)
