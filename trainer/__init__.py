"""One U-Net, from volume to exported model."""

import os

# TensorFlow reads it at its import, and takes oneDNN's convolutions by itself only where there is
# AVX-512. With AVX2 they are 1.5 to 3 times as fast as its own (benchmarks/execution_modes.py).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
