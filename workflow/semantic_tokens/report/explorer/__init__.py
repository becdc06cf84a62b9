"""The explorer: one HTML page, without a network, to look words up in the semantic tokens.

``selection`` says which groupings are in it, ``packing`` what of them, ``page`` writes it. What
the page does stands in ``templates/page.js``: it cuts a word as the backbone does, and shows its groups.
"""
