"""Fine-tuning and evaluation of the five tasks (paper, section 3; Table 2).

Each kind of task is a class with the interface :class:`semantic_tokens.tasks.task.Task`.
:func:`semantic_tokens.tasks.run.fine_tune` trains a semantic-token model on a task, and scores it
by language.
"""
