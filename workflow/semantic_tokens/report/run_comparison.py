"""Two runs side by side: the scores that both have, and what differs in how they were made.

Differences are tested as those of :mod:`semantic_tokens.evaluation.significance` are: by the paired bootstrap
over test items, and over trainings where there are several.
"""

import logging

log = logging.getLogger(__name__)
