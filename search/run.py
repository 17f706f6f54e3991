"""The main job: run the search, train the winner, save its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import final_training
from search.assignment import Task
from search.budget import Budget
from search.change_table import ChangeRow, list_changes
from search.choice import Choice, choose_winner, list_finalists
from search.config import Config
from search.coordinator import Coordinator
from search.data import Unseen, find_unseen, load_data
from search.exhibits import Exhibits
from search.final_length import count_final_epochs, count_waves
from search.final_training import Trained
from search.interruption import Interruption
from search.members import repeat_sources
from search.plan import PLANNED
from search.progress import Progress
from search.remaining import Remaining
from search.repeats import Repeats
from search.results import WINNER, describe_repeats, model_folder, ranked
from search.runner import TrialRunner
from search.standing import Standing
from search.strategy import describe_price, describe_strategy
from search.study import open_study, token_of
from search.study_folder import mark_folder, prepare_folder
from search.study_note import StudyNote
from search.terms import Ending, Terms, search_terms
from search.trial_model import Source
from search.verdict import Finalist
from search.winner_model import save_winner
from search.workers import InlineWorkers, Workers
from storage.artifacts import ArtifactFolder
from storage.checkpoints import CheckpointStore
from storage.database import database_from_environment
from storage.errors import DatabaseError, StorageError
from storage.lock import StudyLock
from storage.study_storage import StudyStorage

_OUTAGE_SECONDS = 1800.0


@dataclass(frozen=True)
class Result:
    """What a search ended with.

    Attributes:
        ending: How.
        winner: The best trial, where one has finished.
        finalists: The trials that were repeated, the winner first; none where there was nothing
            to choose between.
        model: The folder of its model, where it was made.
        unseen: What to test the model on, where there is something that no trial has seen.
        changes: Of a baseline, where the search tried any.
    """

    ending: Ending
    winner: FrozenTrial | None
    model: Path | None
    unseen: Unseen | None = None
    finalists: tuple[Finalist, ...] = ()
    changes: Sequence[ChangeRow] = ()


class SearchRun:
    """One call of `run`: the study, its data and where its trials are run."""

    def __init__(
        self,
        config: Config,
        announce: Callable[[str], None] = lambda line: None,
        *,
        runner: type = TrialRunner,
    ) -> None:
        """Loads the data of a search.

        Args:
            config: Of the search.
            announce: Takes lines for the person who started it.
            runner: What runs the trials on a worker.
        """
        self._config = config
        self._runner = runner
        self._announce = announce
        self._interruption = Interruption()
        self._outage_told = False
        self._data = load_data(config)

    def run(self) -> Result:
        """Starts the search or goes on with it, and ends with the winner's model.

        Raises:
            InputError: The study of that name is another one.
            StorageError: The database does not answer, or another coordinator holds the study.
        """
        config = self._config
        database = database_from_environment(config.study.runs)
        self._lock = StudyLock(database, config.study.name)
        # Waits for a database that is only starting; the lock does not.
        self._storage = StudyStorage(
            database,
            outage_seconds=_OUTAGE_SECONDS,
            on_outage=self._wait_for_database,
            on_return=self._keep_lock,
        )
        with closing(self._storage), self._lock, _cluster(config):
            # Whatever can be refused has been, before the study is written.
            prepare_folder(config, database, token_of(config, self._storage))
            study = open_study(config, self._data, self._storage)
            self._storage.claim(study.study_name)
            mark_folder(config, database, token_of(config, self._storage))
            for line in (*self._data.describe(), *describe_strategy(config)):
                self._announce(line)
            if config.study.sampler in PLANNED:
                self._announce(describe_price(study, config))
            self._note = StudyNote(study, config)
            with self._interruption:
                result = self._run(study)
            result = replace(result, changes=list_changes(study, config))
            # The note is not worth a result.
            with suppress(StorageError):
                self._note.write(_next_step(result))
            return result

    def _run(self, study: optuna.Study) -> Result:
        ending = self._search(study)
        if ending.kind != "done":
            # The best trial at full budget, whoever was the winner before.
            return Result(ending, next(iter(ranked(study, self._config)), None), None)
        return self._finish(study, ending)

    def _search(self, study: optuna.Study) -> Ending:
        config = self._config
        terms = search_terms(config)
        # A plan that ends by itself is no limit, but it is known how far it goes.
        shown = replace(terms.budget, trials=config.most_trials())
        return self._coordinate(study, terms, config.checkpoints, config.study.name, shown=shown)

    def _finish(self, study: optuna.Study, ending: Ending) -> Result:
        best = list_finalists(study, self._config, self._announce)
        if not best:
            return Result(Ending("failed", f"no trial has finished: {ending.reason}"), None, None)
        choice, last = self._choose(study, best)
        if last.kind != "done":
            return Result(last, choice.winner, None)
        choice.write(study)
        if choice.missing:
            ending = _lacking(choice)
        return self._make_model(study, choice, ending)

    def _choose(self, study: optuna.Study, best: list[FrozenTrial]) -> tuple[Choice, Ending]:
        """Repeats the finalists; one alone has won, and its repeats would change nothing."""
        choice, ending = Choice(best[0]), Ending("done", "there was nothing to repeat")
        if len(best) < 2:
            return choice, ending
        repeats = Repeats(self._config, study, best)
        repeated = repeats.open(self._storage)
        self._storage.claim(repeated.study_name)
        if repeats.are_waiting(repeated):
            numbers = ", ".join(str(trial.number) for trial in best)
            title, folder = f"finalists {numbers} repeated", self._config.repeat_checkpoints
            ending = self._coordinate(repeated, repeats.terms(repeated), folder, title)
        if ending.kind == "done":
            choice = choose_winner(study, repeats, repeated)
            for finalist in choice.finalists:
                told = describe_repeats(finalist.to_json())
                self._announce(f"finalist {finalist.number}: Dice {told}")
        return choice, ending

    def _make_model(self, study: optuna.Study, choice: Choice, ending: Ending) -> Result:
        config, winner = self._config, choice.winner
        search = Source(config, study, winner)
        sources: Sequence[Source] = [search]
        if config.final is not None:
            trained = self._train_final(search)
            if isinstance(trained, Ending):
                return Result(trained, winner, None, finalists=choice.finalists)
            # The search was paid for: its winner has a model of its own.
            sources = trained.sources or sources
            ending = _untrained(trained) if trained.missing else ending
        # Of a winner that was not repeated there may be repeats of an earlier run.
        repeats = repeat_sources(config, study, winner.number) if choice.finalists else []
        folder = model_folder(config)
        model = save_winner(sources, search, self._data, folder, repeats)
        study.set_user_attr(WINNER, winner.number)
        return Result(ending, winner, model, find_unseen(config), choice.finalists)

    def _train_final(self, search: Source) -> Trained | Ending:
        """Trains the winner anew; an ending says that it has not ended."""
        config, winner = self._config, search.trial
        epochs = self._count_final_epochs(search)
        final = final_training.open_final(config, self._storage, search.study, winner, epochs)
        self._storage.claim(final.study_name)
        waiting = len(final.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        cpus = self._share_cores(waiting)
        terms = final_training.final_terms(config, final, cpus=cpus)
        if waiting and config.final is not None and terms.epochs < config.final.epochs:
            self._announce(
                f"final training: {terms.epochs} of {config.final.epochs} epochs, as many as "
                f"final.hours = {config.final.hours:g} have room for"
            )
        seen = " (Dice on sections that it trains on)" if terms.train_on == "all" else ""
        title = f"final training of trial {winner.number}{seen}"
        last = self._coordinate(final, terms, config.final_checkpoints, title, cpus=cpus)
        if last.kind == "interrupted" or (last.kind == "failed" and self._is_lost()):
            return last
        found = final_training.trained(config, search, final)
        failed = last.kind == "failed" and found.missing
        return replace(found, missing=[last.reason]) if failed else found

    def _count_final_epochs(self, search: Source) -> int | None:
        """What there is time for; None where the config gives the length alone."""
        config = self._config
        if config.final is None or config.final.hours is None:
            return None
        repeats = repeat_sources(config, search.study, search.trial.number)
        known = [search.trial, *(source.trial for source in repeats)]
        return count_final_epochs(config.final, known, count_waves(config.final, self._slots()))

    def _slots(self) -> int:
        """Trials of the search at a time; 0 where the nodes are yet to come."""
        workers = self._config.workers
        if workers.where == "inline":
            return 1
        from search.ray_cluster import ClusterView

        return ClusterView().room(workers.cpus_per_trial, workers.gpus_per_trial)

    def _coordinate(
        self,
        study: optuna.Study,
        terms: Terms,
        checkpoints: Path,
        title: str,
        *,
        shown: Budget | None = None,
        cpus: float | None = None,
    ) -> Ending:
        """Runs one study, on workers with so many cores where not with the config's."""
        config = self._config
        task = self._build_task(study.study_name, checkpoints)
        workers = self._build_workers(task, cpus=cpus or config.workers.cpus_per_trial)
        exhibits = Exhibits(ArtifactFolder(config.artifacts), task.logs, epochs=terms.epochs)
        with Progress(title, shown or terms.budget) as progress:

            def show(standing: Standing) -> None:
                progress.show(standing)
                self._note.keep(_doing(title, len(standing.running), progress.remaining(standing)))

            try:
                return Coordinator(
                    study,
                    config.build_space().for_voxels(self._data.voxel_size_nm),
                    workers,
                    CheckpointStore(checkpoints),
                    terms,
                    stop_requested=self._interruption.requested,
                    together=self._storage.together,
                    flush=self._storage.flush,
                    exhibit=exhibits.add,
                    exchange=self._exchange,
                    show=show,
                ).run()
            finally:
                workers.close()

    def _exchange(self) -> None:
        """Writes and reads what is new; keeps the lock, which a restart of the server frees."""
        self._storage.refresh()
        try:
            self._lock.keep()
        except DatabaseError:
            # Gone between the two: the storage knows how to wait.
            self._storage.refresh()
            self._lock.keep()

    def _is_lost(self) -> bool:
        """Whether the study, and the folder of its model, are another coordinator's, or gone."""
        try:
            self._exchange()
        except StorageError:
            return True
        return False

    def _keep_lock(self) -> None:
        self._lock.keep()
        if self._outage_told:
            self._outage_told = False
            self._announce("the study database is back: the search goes on")

    def _wait_for_database(self, error: DatabaseError) -> None:
        if self._interruption.requested():
            raise error
        if not self._outage_told:
            self._outage_told = True
            minutes = round(_OUTAGE_SECONDS / 60)
            self._announce(f"{error}; waiting for it, up to {minutes} minutes")

    def _build_task(self, study: str, checkpoints: Path) -> Task:
        config = self._config.workers
        # The trials of the study beside it are numbered from 0 as well.
        place = Path() if study == self._config.study.name else Path("finalists")
        logs, tensorboard = self._config.logs / place, self._config.tensorboard
        gigabytes = config.memory_gb_per_trial
        return Task(
            volumes=self._data.volumes,
            earlier=self._data.earlier,
            checkpoints=checkpoints.absolute(),
            threads=config.cpus_per_trial,
            study=study,
            logs=logs.absolute(),
            artifacts=self._config.artifacts.absolute(),
            tensorboard=tensorboard and (tensorboard / place).absolute(),
            memory_bytes=None if gigabytes is None else round(gigabytes * 1e9),
            gpu_share=config.gpus_per_trial or 1.0,
        )

    def _share_cores(self, trials: int) -> float:
        """Cores for each of so few trials: they share all of a node where they have no GPU."""
        config = self._config.workers
        if config.where == "inline" or config.gpus_per_trial or not trials:
            return config.cpus_per_trial
        from search.ray_workers import largest_node_cpus

        return max(config.cpus_per_trial, largest_node_cpus() // trials)

    def _build_workers(self, task: Task, *, cpus: float) -> Workers:
        config = self._config.workers
        if config.where == "inline":
            return InlineWorkers(task, runner=self._runner)
        from search.ray_workers import RayWorkers

        return RayWorkers(
            task,
            cpus=cpus,
            gpus=config.gpus_per_trial,
            trials_per_worker=config.trials_per_worker,
            runner=self._runner,
        )


def _doing(title: str, running: int, remaining: Remaining | None) -> str:
    """What the search is doing and has before it, for whoever reads the dashboard."""
    trials = f"{title}: {running} trial{'s' * (running != 1)} running"
    if remaining is None:
        return trials
    device_hours = remaining.describe()
    to_come = f"{trials}; about {remaining.seconds / 3600:.1f} hours to come"
    return f"{to_come}, {device_hours}" if device_hours else to_come


def _next_step(result: Result) -> str:
    """What to do with the result, for whoever reads the dashboard."""
    if result.ending.kind == "interrupted":
        return "`unet-search run CONFIG` goes on where the search was stopped"
    if result.model is None:
        return f"{result.ending.reason}; `unet-search status CONFIG` shows why"
    return (
        f"{result.ending.reason}; the model lies in `{result.model}`, and "
        "`unet-search export CONFIG --out DIR` writes it for other tools"
    )


def _untrained(trained: Trained) -> Ending:
    """The model is made of what there is; the next run trains the rest."""
    first, *others = trained.missing
    more = f" and {len(others)} more" if others else ""
    whose = "the others'" if trained.sources else "the search's own"
    reason = f"the final training failed: {first}{more}; the model is {whose}; run it again"
    return Ending("failed", reason)


def _lacking(choice: Choice) -> Ending:
    """The winner is named from the repeats that there are; the next run completes them."""
    first, *others = choice.missing
    more = f" and {len(others)} more" if others else ""
    return Ending("failed", f"a repeat of a finalist failed: {first}{more}; run it again")


@contextmanager
def _cluster(config: Config) -> Iterator[None]:
    if config.workers.where == "inline":
        yield
        return
    from search.ray_workers import check_room, ray_cluster

    with ray_cluster():
        check_room(cpus=config.workers.cpus_per_trial, gpus=config.workers.gpus_per_trial)
        yield
