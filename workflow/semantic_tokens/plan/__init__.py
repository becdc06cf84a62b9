"""What a study takes before any of it starts: jobs, downloads, disk and hours of computing.

- :mod:`.architecture` is a backbone without its weights: its sizes, and the operations that torch
  counts for one text.
- :mod:`.data` is how much text there is, how long its texts are, and how many passages are searched.
- :mod:`.operations` is what a training and its scoring add up to.
- :mod:`.costs` goes through the jobs of some experiments, each once however many share it.
- :mod:`.throughput` turns operations and jobs into hours.
- :mod:`.measured` compares the hours with those of jobs that are done.
- :mod:`.budget` finds the largest part of a study that a budget of hours pays for.
- :mod:`.report` is the page that is printed.
"""
