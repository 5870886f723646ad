"""One inference on machines that run Linux, beside onnxruntime's int8 kernels: `python -m benchmarks.hosts`."""
