"""Draw the groups around some keywords, of numbers and of punctuation (paper, Figures 8 and 13)."""

import tempfile

from semantic_tokens.jobs.job import job

with job(snakemake) as log:
    from semantic_tokens.grouping.inspection import groups_of_figures
    from semantic_tokens.report.figures.fonts import Fonts, extract_fonts
    from semantic_tokens.report.figures.groups import draw_groups
    from semantic_tokens.report.figures.style import save

    files = snakemake.input
    inspected, missing = groups_of_figures(
        files.groups,
        files.embeddings,
        files.tokenizer,
        files.lexicons,
        snakemake.params.keywords,
    )
    if missing:
        log.info("not single subwords, or groups of one: %s", ", ".join(missing))
    with tempfile.TemporaryDirectory() as folder:
        fonts = Fonts(extract_fonts(files.fonts, folder))
        for groups, most, paths in (
            (inspected.figure_8, 24, snakemake.output[:3]),
            (inspected.figure_13, 48, snakemake.output[3:]),
        ):
            figure, unwritten = draw_groups(groups, fonts, most)
            if unwritten:
                log.warning(
                    "%d subwords are left out, because no font has their script; install one, or "
                    "name a wheel with one in the config key `inspection.fonts`",
                    unwritten,
                )
            save(figure, paths, pdf_font_type=3)  # the Chinese font is not TrueType
