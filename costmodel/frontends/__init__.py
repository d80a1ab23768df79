"""Networks and weights from other frameworks.

`costmodel.frontends.torch_export.from_torch` takes a ``torch.nn.Module``,
`costmodel.frontends.onnx_file.from_onnx` an ONNX file. Each imports its framework, so neither is
imported here.
"""
