"""From an artifact to what others build on: a folder of C (c_library), an ONNX model of integers (onnx_model)."""
