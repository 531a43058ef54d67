"""What a recipe's mix comes to in tokens, said before the run."""

from __future__ import annotations

from steps.mix.config import Config


def token_table(config: Config) -> dict[str, dict[int, int]]:
    """Tokens by data set and stage, of the data sets that are asked for in tokens; replay is not among them."""
    table = {}
    for name in config.set_names():
        tokens = {stage: amount.tokens for stage, amount in config.amounts(name).items()}
        if any(tokens.values()):
            table[name] = {stage: number or 0 for stage, number in tokens.items()}
    return table


def outline(config: Config) -> str:
    """The tokens that each stage is to have of each data set, a line for each and one for their sum; else nothing."""
    table = token_table(config)
    if not table:
        return ""
    stages = sorted({stage for row in table.values() for stage in row})
    rows = [(name.partition("/")[2], [row.get(stage, 0) for stage in stages]) for name, row in table.items()]
    rows.append(("sum", [sum(column) for column in zip(*(numbers for _, numbers in rows), strict=True)]))
    head = "".join(f"{f'stage {stage}':>18}" for stage in stages) + f"{'together':>18}"
    lines = [f"{name:<28}" + "".join(f"{n:>18,}" for n in (*numbers, sum(numbers))) for name, numbers in rows]
    return "\n".join(["tokens to take", f"{'':<28}{head}", *lines])
