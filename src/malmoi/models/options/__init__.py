"""The options of every rung, one frozen class each: recipe file, run folder and command-line flags all read it.

Nothing here imports a tensor library, so that `malmoi train lstm --help` and the reading of run folders stay quick.
"""
