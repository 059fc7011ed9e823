"""ciyuan (词元): an open market for AI tokens.

electricity -> factory -> dispatch -> gateway -> index -> exchange -> clearing -> desk

Importing this package imports nothing else: each stage is a room of its own, and `import ciyuan.<stage>` brings in its
messages only. Machines, which load compiled kernels, are imported by name from `<stage>.machine`.
"""

__version__ = "0.1.0"
