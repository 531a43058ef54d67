"""How a stage's tokens are shared among data sets, as nested shares of a total. pydantic only."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EXACT = Decimal("1e-9")  # by which shares may miss one


def shares_of_one(shares: dict[str, float], where: str) -> None:
    """Raise ValueError unless the shares are positive and add up to one."""
    odd = sorted(name for name, share in shares.items() if not 0 <= share <= 1)
    if odd:
        raise ValueError(f"{where}: the share of {', '.join(odd)} is not from 0 to 1")
    total = sum((Decimal(str(share)) for share in shares.values()), Decimal(0))
    if abs(total - 1) > EXACT:
        raise ValueError(f"{where}: the shares add up to {float(total):g}, not to 1")


class Group(BaseModel):
    """A share that is divided once more, such as a language into its data sets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(ge=0, le=1, description="Of the stage's tokens.")
    of: dict[str, float] = Field(
        min_length=1, description="Shares of the group by data set; they add up to 1."
    )

    @model_validator(mode="after")
    def _whole(self) -> Group:
        shares_of_one(self.of, "of")
        return self


class Budget(BaseModel):
    """A stage's tokens and who gets which share of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int = Field(gt=0, description="Tokens of the stage, without replay.")
    shares: dict[str, float | Group] = Field(
        min_length=1,
        description="Shares by data set (a source of web, or a name of supervised), or by group with data sets of its "
        "own; they add up to 1.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Budget:
        first = {n: s.share if isinstance(s, Group) else s for n, s in self.shares.items()}
        shares_of_one(first, "shares")
        names = [name for name, _ in self.leaves()]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"shares: {', '.join(doubled)} is named twice")
        return self

    def leaves(self) -> list[tuple[str, Decimal]]:
        """(data set, its share of the stage's tokens), exact."""
        found = []
        for name, share in self.shares.items():
            if isinstance(share, Group):
                own = Decimal(str(share.share))
                found += [(leaf, own * Decimal(str(part))) for leaf, part in share.of.items()]
            else:
                found.append((name, Decimal(str(share))))
        return found

    def amounts(self) -> dict[str, int]:
        """Tokens by data set."""
        return {name: round(self.tokens * share) for name, share in self.leaves()}
