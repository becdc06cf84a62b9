"""Test the paper's claims on this study (sections 4.1 to 4.5; Appendices B, C, E and F)."""

from pathlib import Path

from semantic_tokens.jobs.job import job

with job(snakemake):
    from semantic_tokens.evaluation.bootstrap import Resampling
    from semantic_tokens.evaluation.claims.study import published_study, study_of
    from semantic_tokens.evaluation.claims.verdicts import judge
    from semantic_tokens.evaluation.scores import Trainings, scores_in
    from semantic_tokens.files import folder_above
    from semantic_tokens.modeling.encoders import embedding_width
    from semantic_tokens.report.tables.claims import write_claims
    from semantic_tokens.report.tables.paper_comparison import read_table, repeated_rows

    params, inputs = snakemake.params, snakemake.input
    resampling = Resampling(**params.resampling)
    scores = scores_in(
        folder_above(inputs.scored_items, "scores"),
        folder_above(inputs.baselines, "baselines"),
        params.rows_by_task,
        Trainings(params.seeds, params.replicates),
        resampling,
    )
    study = study_of(
        params.rows_by_task,
        params.kinds,
        scores,
        oracle=params.oracle,
        full_dimension=embedding_width(Path(inputs.backbone).parent),
        margin=params.margin,
        lexicon_language=params.lexicon_language,
    )
    printed = read_table(inputs.published)
    independent = printed.drop(index=list(repeated_rows(printed)))
    write_claims(
        judge(study, resampling, published_study(independent, params.margin)),
        *snakemake.output,
        title=params.title,
        resampling=resampling,
    )
