"""The study's note in the dashboard: the best so far, what was spent, what comes next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import optuna
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import get_note, save_note

from search import lineage
from search.config import Config
from search.objectives import dice_of
from search.results import FINALISTS, WINNER, budget_row, describe_repeats, ranked
from search.shown_value import show_value

# Definitions of links that nothing refers to: Markdown shows nothing of them.
_BEGIN = '[//]: # "unet-search writes from here"'
_END = '[//]: # "to here"'
_PAUSE_SECONDS = 30.0


class StudyNote:
    """Keeps a section of the note current; what people write around it is theirs."""

    def __init__(
        self,
        study: optuna.Study,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Writes nothing yet.

        Args:
            study: Whose note it is.
            config: Of the study.
            clock: Seconds.
        """
        self._study = study
        self._config = config
        self._clock = clock
        self._written_at: float | None = None

    def keep(self, next_step: str) -> None:
        """Writes how the study stands, at most twice a minute.

        Args:
            next_step: What it is doing, in words.
        """
        now = self._clock()
        # Each time somebody who is writing at this moment has to begin again.
        if self._written_at is None or now - self._written_at >= _PAUSE_SECONDS:
            self._written_at = now
            self.write(next_step)

    def write(self, next_step: str) -> None:
        """Writes how the study stands, if that is not what the note says already.

        Args:
            next_step: What it is doing or what is to be done, in words.
        """
        section = "\n".join([_BEGIN, "", *self._lines(next_step), "", _END])
        before = get_note(self._study)
        after = _place(section, before)
        if after != before:
            save_note(self._study, after)

    def _lines(self, next_step: str) -> Iterator[str]:
        best = ranked(self._study, self._config)
        yield f"- **Best so far:** {_describe(best[0]) if best else 'no trial has finished yet'}"
        winner = self._study.user_attrs.get(WINNER)
        if winner is not None:
            yield f"- **Model of:** trial {winner}"
        finalists = self._study.user_attrs.get(FINALISTS, [])
        if finalists:
            told = (f"trial {each['number']}: {describe_repeats(each)}" for each in finalists)
            yield f"- **Finalists, repeated:** {'; '.join(told)}"
        yield f"- **Spent:** {self._spent()}"
        yield f"- **Next:** {next_step}"

    def _spent(self) -> str:
        trials = self._study.get_trials(deepcopy=False)
        row = budget_row(self._study, self._config.build_budget(), trials)
        promoted = lineage.promoted(trials)
        ends = {
            state.name.lower(): sum(
                trial.state is state
                and not trial.user_attrs.get(lineage.GOES_ON)
                and trial.number not in promoted
                for trial in trials
            )
            for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        }
        ended = ", ".join(f"{count} {name}" for name, count in ends.items() if count)
        of = f" of {row['trials']}" if row["trials"] else ""
        money = row["money_spent"]
        parts = [
            f"{row['trials_begun']}{of} trials" + (f" ({ended})" if ended else ""),
            f"{row['epochs_trained']} epochs",
            _duration(row["hours_spent"]),
            f"{_duration(row['device_hours_spent'])} of devices",
            *([] if money is None else [f"{money:.2f} in money"]),
        ]
        return ", ".join(parts)


def _describe(trial: FrozenTrial) -> str:
    attributes = trial.user_attrs
    params = ", ".join(f"{name} {show_value(value)}" for name, value in trial.params.items())
    return (
        f"trial {trial.number}, validation Dice {dice_of(trial):.4f} "
        f"(precision {attributes['precision']:.3f}, recall {attributes['recall']:.3f} at "
        f"threshold {attributes['threshold']:.2f}): {params}"
    )


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"


def _place(section: str, note: str) -> str:
    """Puts the section where it was before, else in front of what others have written."""
    before, found, rest = note.partition(_BEGIN)
    if found:
        _, ended, after = rest.partition(_END)
        # Without its end, as somebody may have left it, only the mark itself is ours.
        return before + section + (after if ended else rest)
    return f"{section}\n\n{note}" if note else section
