"""How `ww.elementwise` makes one kernel of a scalar function.

parse.py reads the function's syntax tree as one expression (expression.py), derivative.py differentiates it, blocks.py writes it as Numba
code for kernels/fused/ on the CPU and gpu.py as a CUDA kernel.
"""
