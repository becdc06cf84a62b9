"""The paper's figures, drawn from the scores and groups that the workflow made.

``selection`` says which experiments a figure shows, and is light enough for the Snakefile; the
other modules draw.
"""
