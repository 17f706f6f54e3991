"""Which sections of a volume are for training, for validation and for neither."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trainer.errors import InputError

# Two sections that correlate less than this share no more than any two of the tissue.
_UNRELATED = 0.1
# A gap never takes more than this part of the sections.
_LARGEST_GAP_SHARE = 5
# Enough pixels of a section to tell a correlation of 0.1 from none.
_PIXELS_PER_SIDE = 64


@dataclass(frozen=True)
class Split:
    """Contiguous blocks of sections; neighbours along z are almost copies, so gaps lie between.

    Attributes:
        train: sections to train on while validating.
        validation: sections that trials are compared on.
        holdout: sections that take no part in training, validation or selection.
        gap: number of sections between any two of the blocks.
        all: the largest run outside the holdout and its gap: what may be trained on when nothing
            needs validating.
        holdout_gap: number of sections between the holdout and any other block, where not `gap`.
    """

    train: range
    validation: range
    holdout: range | None
    gap: int
    all: range
    holdout_gap: int | None = None


def split_sections(
    sections: int,
    *,
    validation: float | tuple[int, int] = 0.2,
    gap: int,
    holdout: tuple[int, int] | None = None,
    holdout_gap: int | None = None,
) -> Split:
    """Divide the sections of a volume into blocks that cannot leak into each other.

    With validation sections [a, b), training ends at section a - gap (exclusive) or begins at
    b + gap: `gap` sections lie between the two, and likewise between the holdout and either of
    them. Of what is left, the largest contiguous run is trained on.

    Args:
        sections: number of sections in the volume.
        validation: the share of the available run that its last sections make up (at least one of
            them), or a range (z0, z1) of sections, z1 exclusive.
        gap: sections to leave out between two blocks.
        holdout: range (z0, z1) of sections that nothing may touch, z1 exclusive.
        holdout_gap: sections to leave out beside it; `gap` by default. With fewer there is more to
            train on, and what is held out resembles it more.

    Raises:
        InputError: a range lies outside the volume or nothing is left to train or validate on.
    """
    own, beside = ("gap", gap) if holdout_gap is None else ("holdout_gap", holdout_gap)
    for name, sought in (("gap", gap), (own, beside)):
        if sections < 1 or sought < 0:
            raise InputError(
                f"{name} = {sought} in {sections} sections; 0 or more in 1 or more are expected"
            )
    kept = None if holdout is None else _block(holdout, "holdout", sections)
    free = _without([range(sections)], kept, beside)
    available = _largest(free)
    if isinstance(validation, tuple):
        chosen = _block(validation, "validation", sections)
        _check_apart(chosen, kept, own, beside)
    else:
        chosen = _last(available, validation)
    train = _largest(_without(free, chosen, gap))
    if not chosen or not train:
        raise InputError(
            f"no section is left to {'train' if chosen else 'validate'} on: of {sections} sections "
            f"holdout takes {_shown(kept)}, validation {_shown(chosen)} and the gap {gap} on each "
            f"side of a block{'' if beside == gap else f', {beside} beside the holdout'}; give a "
            "smaller gap or block, or more sections"
        )
    differs = kept is not None and beside != gap
    return Split(train, chosen, kept, gap, available, beside if differs else None)


def fold_sections(split: Split, folds: int) -> tuple[Split, ...]:
    """Cuts further blocks to validate on, each as long as the split's own.

    They are cut from the run outside the holdout and its gap, one after the other where most is
    left to train on, and share no section with each other; a fold trains on the largest run that
    is left beyond the gap on both sides of its block. A fold does not depend on how many follow.

    Args:
        split: The first fold.
        folds: How many there are, the first included.

    Raises:
        InputError: There is no room for so many.
    """
    found = [split]
    while len(found) < folds:
        found.append(_next_fold(split, [fold.validation for fold in found], folds))
    return tuple(found)


def measure_guard_gap(raw: np.ndarray) -> int:
    """Return how many sections apart the sections of a volume (z, y, x) cease to look alike.

    That is the first distance at which Pearson's correlation, averaged over all pairs of sections
    at that distance, falls below 0.1; at least 1, and at most a fifth of the sections.
    """
    largest = largest_gap(len(raw))
    profiles, varied = _profiles(raw)
    for distance in range(1, largest):
        pairs = varied[distance:] & varied[:-distance]
        products = np.einsum("zp,zp->z", profiles[distance:], profiles[:-distance])
        if products.sum() < _UNRELATED * max(1, int(np.count_nonzero(pairs))):
            return distance
    return largest


def largest_gap(sections: int) -> int:
    """The widest guard gap of a volume with so many sections, whatever they look like."""
    return max(1, sections // _LARGEST_GAP_SHARE)


def _next_fold(split: Split, taken: list[range], folds: int) -> Split:
    length, run = len(split.validation), split.all
    blocks = [range(z, z + length) for z in range(run.start, run.stop - length + 1)]
    free = [block for block in blocks if not any(_overlap(block, other) for other in taken)]
    found = [
        replace(split, train=_largest(_without([run], block, split.gap)), validation=block)
        for block in free
    ]
    best = max(found, key=lambda fold: len(fold.train), default=None)
    if best is None or not best.train:
        raise InputError(
            f"folds = {folds} in sections {_shown(run)} with blocks of {length} and a gap of "
            f"{split.gap}; there is room for {len(taken)}: ask for fewer, or give a smaller "
            "validation block or gap"
        )
    return best


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _profiles(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sections as vectors of mean 0 and length 1 (z, pixel), and which are not constant.

    Constant sections resemble nothing: their vectors are zero.
    """
    steps = (max(1, length // _PIXELS_PER_SIDE) for length in raw.shape[1:])
    rows, columns = (slice(step // 2, None, step) for step in steps)
    profiles = raw[:, rows, columns].reshape(len(raw), -1).astype(np.float64)
    sizes = np.linalg.norm(profiles, axis=1, keepdims=True)
    profiles -= profiles.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(profiles, axis=1, keepdims=True)
    # Rounding leaves a trace of a value that is not a binary fraction.
    varied = lengths > 1e-9 * sizes
    return profiles / np.where(varied, lengths, 1) * varied, varied[:, 0]


def _block(bounds: tuple[int, int], name: str, sections: int) -> range:
    start, stop = bounds
    if not 0 <= start < stop <= sections:
        raise InputError(
            f"{name} = [{start}, {stop}] in {sections} sections; "
            f"expected [z0, z1] with 0 <= z0 < z1 <= {sections}"
        )
    return range(start, stop)


def _check_apart(validation: range, holdout: range | None, name: str, gap: int) -> None:
    if holdout is None:
        return
    between = max(holdout.start - validation.stop, validation.start - holdout.stop)
    if between < gap:
        near = f"lie {between} sections apart" if between >= 0 else "overlap"
        raise InputError(
            f"validation {_shown(validation)} and holdout {_shown(holdout)} {near}; "
            f"a gap of {gap} is expected between them: move one of them or give a smaller {name}"
        )


def _largest(runs: list[range]) -> range:
    return max(runs, key=len, default=range(0))


def _without(runs: list[range], block: range | None, gap: int) -> list[range]:
    """Return what is left of the runs outside a block and the gap on either side of it."""
    if block is None:
        return runs
    before = [range(run.start, min(run.stop, block.start - gap)) for run in runs]
    behind = [range(max(run.start, block.stop + gap), run.stop) for run in runs]
    return [run for run in before + behind if run]


def _last(run: range, share: float) -> range:
    if not 0 < share < 1:
        raise InputError(
            f"validation = {share}; a share between 0 and 1 or a range [z0, z1] is expected"
        )
    return run[len(run) - min(len(run), max(1, round(share * len(run)))) :]


def _shown(block: range | None) -> str:
    return f"[{block.start}, {block.stop}]" if block else "none"
