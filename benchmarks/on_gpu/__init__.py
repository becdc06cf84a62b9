"""The measurements of ``benchmarks/gpu.py``, with one module per part."""
