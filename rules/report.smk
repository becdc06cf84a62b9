# The sections of the report, which are the paper's.
import re
from pathlib import Path

#: The sections of the paper and of the report.
SECTIONS = {
    "provenance": "1 The study",
    "figure2": "2 Operations and pipelines",
    "table1": "3 Tasks",
    "figure3": "4.1 Semantic grouping",
    "figure4": "4.1 Semantic grouping",
    "figure5": "4.2 Dimension reduction",
    "figure6": "4.2 Dimension reduction",
    "figure7": "4.3 Other models",
    "figure8": "4.4 Inspection",
    "explorer": "4.4 Inspection",
    "figure9": "4.5 Zero-shot",
    "table2": "A Training",
    "pretraining_curves": "A Training",
    "figure11": "B Sources of alignment",
    "figure10": "C Languages",
    "table3": "D Memory and efficiency",
    "figure12": "E Distance",
    "table4": "F Grouping by lexicon",
    "table5": "G Numbers",
    "figure13": "H More groups",
}


def in_report(path, part=None, caption=None, title=None):
    """An output in the report, in the section of this table or figure.

    Captions are in workflow/report. A rule for several figures has one caption."""
    part = part or Path(path).stem

    def section(wildcards):
        return SECTIONS.get(getattr(wildcards, "figure", part), "Not in the paper")

    def labels(wildcards):
        name = title or getattr(wildcards, "figure", part)
        name = re.sub(r"^(figure|table)(\d+)$", r"\1 \2", name)
        return {"shows": name[:1].upper() + name[1:]}

    return report(
        path,
        caption=f"../workflow/report/{caption or part}.rst",
        category=section,
        labels=labels,
    )
