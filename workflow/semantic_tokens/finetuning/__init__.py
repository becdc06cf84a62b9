"""Fine-tuning and evaluation of the five tasks (paper, section 3; Table 2).

Each kind of task is a class with the same face, :class:`semantic_tokens.finetuning.task.Task`;
:func:`fine_tune` trains a semantic-token model on one and scores it by language.
"""

from semantic_tokens.finetuning.run import fine_tune, fine_tune_from_files, make_task

__all__ = ["fine_tune", "fine_tune_from_files", "make_task"]
