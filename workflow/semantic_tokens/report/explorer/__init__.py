"""The explorer: one HTML page that looks words up in the semantic tokens, without a network.

:mod:`semantic_tokens.study.explored_groupings` chooses the groupings, ``packing`` and
``segmentation`` prepare their data, and ``page`` writes the file. The browser's part is the
JavaScript in ``templates/page``: it splits a word like the backbone, and shows the semantic token
of each subword. ``bundle`` joins its modules.
"""
