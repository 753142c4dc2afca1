"""The runtime: a wake word from numpy and onnxruntime."""
