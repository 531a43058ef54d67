"""Report pages: what a person looks at after a stage, instead of reading logs.

A step hands its own figures over as data (`steps.report.blocks`) and never writes HTML::

    # steps/score/report.py
    from steps.report.blocks import Histogram, Mark, Panel, Section
    from steps.report.distribution import Distribution
    from steps.report.page import stage_report

    def report(ctx: StepContext, counts: Counts) -> bytes:
        found = {language: Distribution() for language in ctx.facts["cutoffs"]}
        ...  # shard by shard: found[language].add(float64 column of the stored signals)
        plot = Histogram("Perplexity", [Panel(l, {"plain": d}, [Mark(c, "high")]) for l, d in ...], log=True)
        return stage_report(ctx, counts, [Section("Perplexity", [plot])])

    # steps/score/step.py
    STEP = Step(..., report=report)

`stage_report` puts the sections between what every stage has: the funnel in documents and bytes per source and
language, reasons, document lengths, samples of what was removed, kept and quarantined, settings and facts.
A step without figures of its own declares ``report=stage_report``.

A `Distribution` takes arrays of any length in bounded memory and can be merged: make it shard by shard on the step's
workers (`steps.report.look.Stage.each`; `some_shards` names the shards of a large corpus that a page looks at), or in
the parts, whose result carries ``to_json()``. All text is escaped; characters that would hide or reorder text are
shown by name.
"""
