"""Estimate the cost of a study before it starts: jobs, downloads, disk and hours of computing.

- :mod:`.architecture` gives a backbone's sizes without its weights, and the operations that torch
  counts for one text.
- :mod:`.data` gives the number of texts, their lengths, and the number of searched passages.
- :mod:`.operations` adds up the operations of a training and its scoring.
- :mod:`.costs` lists the jobs of experiments; a job that experiments share is counted once.
- :mod:`.throughput` converts operations and jobs into hours.
- :mod:`.measured` compares these hours with those of finished jobs.
- :mod:`.budget` finds the largest part of a study within a budget of hours.
- :mod:`.report` prints the result.
"""
