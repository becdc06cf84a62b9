"""Models over semantic tokens: models of transformers with a new embedding and decoder.

- :mod:`.embedding` is the method.
- :mod:`.encoders` checks which checkpoints can be used, and their limits.
- :mod:`.loading` loads a model with one of transformers' heads, and saves it.
- :mod:`.masked_language_modelling` is the pretraining objective over groups.
- :mod:`.export` writes a plain checkpoint.
"""
