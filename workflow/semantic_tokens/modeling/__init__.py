"""Models over semantic tokens: transformers' own, with another embedding and decoder.

- :mod:`.embedding` is the method.
- :mod:`.encoders` says which checkpoints can be used, and what they are limited to.
- :mod:`.loading` opens a model below one of transformers' heads, and saves it.
- :mod:`.masked_language_modelling` is the pretraining objective over groups.
- :mod:`.export` writes the plain checkpoint.
"""
