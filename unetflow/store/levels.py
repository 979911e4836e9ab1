"""How large the levels of a pyramid are."""

from collections.abc import Sequence

COARSEST_PX = {2: 512, 3: 128}  # a pyramid ends with the first level that is no larger, by its axes


def level_factors(
    shape_px: Sequence[int], spacing: Sequence[float] | None = None
) -> list[tuple[int, ...]]:
    """By how much each level is coarser than the finest, the first, along each axis.

    `spacing` is the size of a pixel along each axis; None: as long along all. An axis is halved
    where its pixels are less than twice as long as the shortest.
    """
    factors = [tuple(1 for _ in shape_px)]
    spacing = spacing or [1.0 for _ in shape_px]
    while max(_shape(shape_px, factors[-1])) > COARSEST_PX[len(shape_px)]:
        lengths = [step * factor for step, factor in zip(spacing, factors[-1], strict=True)]
        factors.append(
            tuple(
                factor * (2 if length < 2 * min(lengths) else 1)
                for factor, length in zip(factors[-1], lengths, strict=True)
            )
        )
    return factors


def level_shapes(
    shape_px: Sequence[int], spacing: Sequence[float] | None = None
) -> list[tuple[int, ...]]:
    """(Y, X) or (Z, Y, X) of all levels, finest first; `spacing` as of `level_factors`."""
    return [_shape(shape_px, factors) for factors in level_factors(shape_px, spacing)]


def _shape(shape_px: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-size // factor) for size, factor in zip(shape_px, factors, strict=True))
