"""What a trial costs in a study of 100, 1,000 and 10,000 trials, and on what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from benchmarks.lap import WARM_UP, Lap
from benchmarks.ledger import Ledger
from benchmarks.ours import ACCOUNTS, OurSearch
from benchmarks.postgres_server import PostgresServer
from storage.database import Database

SIZES = (100, 1_000, 10_000)
_RUN_TRIALS = 100
_COLUMNS = text(
    "SELECT table_name, string_agg(column_name, ', ') FROM information_schema.columns "
    "WHERE table_name IN (SELECT table_name FROM information_schema.columns "
    "WHERE table_schema = 'public' AND column_name = 'trial_id' AND table_name <> 'trials') "
    "AND column_name <> 'trial_id' AND column_default IS NULL GROUP BY table_name"
)


def measure_growth(
    server: PostgresServer,
    folder: Path,
    *,
    rounds: int,
    round_trials: int,
    say: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """Returns milliseconds a trial by size of the study, and of each by account."""
    laps: dict[int, list[Lap]] = {size: [] for size in SIZES}
    with ExitStack() as stack:
        searches = {}
        for size in SIZES:
            database = server.create_database(f"size_{size}")
            _fill(database, folder / str(size), size)
            searches[size] = stack.enter_context(OurSearch(database, folder / str(size), seed=1))
        for number in range(1, rounds + 1):
            for size, search in searches.items():
                laps[size].append(search.run(round_trials + WARM_UP, ledger=Ledger()))
                say(f"round {number} of {rounds}: {_in_words(size, laps[size][-1])}")
    return {str(size): split_time(each) for size, each in laps.items()}


def multiply_trials(database: Database, copies: int) -> None:
    """Makes a study of many trials from one of a few, by copying all that was written of each.

    The trials were really run, so the copies hold whatever a sampler and a pruner keep with a
    trial.

    Args:
        database: With one study, that nobody writes to.
        copies: Of each trial, itself included.
    """
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        _multiply(connection, copies)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def split_time(laps: Sequence[Lap]) -> dict[str, float]:
    """Milliseconds a trial by account, the median of several blocks, and their total."""
    split = {
        account: median(1000 * lap.accounts.get(account, 0.0) / lap.trials for lap in laps)
        for account in ACCOUNTS
    }
    return {**split, "total": sum(split.values())}


def growth(small: Mapping[str, float], large: Mapping[str, float]) -> float:
    """How many times what a trial costs without its sampler has grown."""
    return (large["total"] - large["sampler"]) / (small["total"] - small["sampler"])


def _fill(database: Database, folder: Path, size: int) -> None:
    with OurSearch(database, folder) as search:
        search.run(_RUN_TRIALS)
    multiply_trials(database, size // _RUN_TRIALS)


def _multiply(connection: Connection, copies: int) -> None:
    shift, count = connection.execute(
        text("SELECT max(trial_id) - min(trial_id) + 1, count(*) FROM trials")
    ).one()
    copied = f"CROSS JOIN generate_series(1, {copies - 1}) AS copy"
    tables = connection.execute(_COLUMNS).all()
    connection.execute(
        text(
            "INSERT INTO trials "
            "(trial_id, number, study_id, state, datetime_start, datetime_complete) "
            f"SELECT trial_id + copy * {shift}, number + copy * {count}, study_id, state, "
            f"datetime_start, datetime_complete FROM trials {copied}"
        )
    )
    for table, columns in tables:
        connection.execute(
            text(
                f"INSERT INTO {table} (trial_id, {columns}) "
                f"SELECT trial_id + copy * {shift}, {columns} FROM {table} {copied}"
            )
        )
    sequence = "pg_get_serial_sequence('trials', 'trial_id')"
    connection.execute(text(f"SELECT setval({sequence}, max(trial_id)) FROM trials"))


def _in_words(size: int, lap: Lap) -> str:
    parts = ", ".join(
        f"{account} {1000 * seconds / lap.trials:.1f}" for account, seconds in lap.accounts.items()
    )
    return f"at {size} trials {lap.ms_per_trial:.1f} ms ({parts})"
