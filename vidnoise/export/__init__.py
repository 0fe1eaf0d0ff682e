"""A network as a file for other engines: written, checked against PyTorch on the spot, and described beside it.

`job.export(subject.find("denoise"), Path("denoise.onnx"))` does it all.
"""

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt", "torch": ".pt2", "tensorrt": ".engine"}
"""Of the files, by format; `formats.FORMATS` says the rest."""
