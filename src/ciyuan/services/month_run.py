"""`ciyuan run`: assemble the world, play it on a journaled venue, write tables, summary and report."""

import os
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ciyuan import __version__
from ciyuan.basics.errors import Malformed
from ciyuan.basics.time import NS_PER_HOUR
from ciyuan.clearing.messages import ClearingEvent
from ciyuan.desk.messages import CENTI_PER_MTOK
from ciyuan.index.messages import IndexEvent
from ciyuan.services.archive import SEGMENTS
from ciyuan.services.disk import lock_folder
from ciyuan.services.hedge_tables import DeskOfRun, write_hedge_tables, write_participants, write_site_hours
from ciyuan.services.host import VenueHost
from ciyuan.services.interrupts import Heed, interrupts_held
from ciyuan.services.manifest import (
    JOURNAL,
    MANIFEST,
    MANIFEST_DRAFT,
    REPORT,
    SUMMARY,
    TABLES,
    Manifest,
    digest_of,
    read_manifest,
    read_summary,
    unchanged,
    write_json,
    write_manifest,
)
from ciyuan.services.margin_tables import write_margin_tables
from ciyuan.services.progress import shown_progress
from ciyuan.services.run_tables import run_specs
from ciyuan.services.store import Store
from ciyuan.services.summary import BuyerBill, RunSummary
from ciyuan.services.tables import Tables
from ciyuan.services.world import Assembled, Files, assemble, venue_terms
from ciyuan.simulation.auditor import Auditor
from ciyuan.simulation.month import Month
from ciyuan.simulation.scenario import scenario_from
from ciyuan.venue.machine import Venue

BEFORE_A_RUN = {MANIFEST_DRAFT}
"""What a run that was killed before it had begun leaves in its folder."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What the command line asks for."""

    out: Path
    usage: Path | None = None
    sample: Path | None = None
    power: Path | None = None
    scenario: Path | None = None
    seed: int | None = None
    requests: int | None = None
    lenient: bool = False
    stretch: bool = False
    replace: bool = False
    resume: bool = False
    report: bool = True


def play_month(order: RunOrder, progress: str) -> RunSummary:
    """Play (or resume) a run. Returns its summary, which is also written. Malformed input is refused before anything
    is written.
    """
    if not order.resume:
        _expect_free(order.out, order.replace)
    manifest = _begun(order) if order.resume else _manifest(order)
    summary = read_summary(order.out) if order.resume else None
    if summary is None:
        assembled = assemble(scenario_from(manifest.settings), _files(manifest))
        _expect_same_terms(manifest, assembled)
        if not order.resume:
            _expect_free(order.out, order.replace)
            _clear(order.out)
            write_manifest(order.out, manifest)
        with interrupts_held() as heed:
            summary = _play(order.out, assembled, heed, resume=order.resume, progress=progress)
            write_json(order.out / SUMMARY, asdict(summary))
    if order.report:
        from ciyuan.services.report import write_report

        write_report(order.out)
    return summary


def _files(manifest: Manifest) -> Files:
    """The files that began the run, which must still hold what they held then."""
    usage, sample, power = (unchanged(file) for file in (manifest.usage, manifest.sample, manifest.power))
    return Files(usage, sample, power, manifest.lenient, manifest.stretch)


def _expect_free(folder: Path, replace: bool) -> None:
    """Refuse to write over anything but a run that may be replaced, and that nobody is playing."""
    if not folder.exists() or (folder.is_dir() and {path.name for path in folder.iterdir()} <= BEFORE_A_RUN):
        return
    if not _is_run(folder):
        raise Malformed(
            f"run folder {folder}",
            found="a folder that holds something else" if folder.is_dir() else "a file",
            expected="a new or empty folder, or a run's",
            remedy="Choose another --out; nothing was touched.",
        )
    if not replace:
        raise Malformed(f"run folder {folder}", found="a run", expected="a new or empty folder",
                        remedy="Give --replace to replace the run, or --resume to go on with it.")  # fmt: skip
    if (folder / JOURNAL).is_dir():
        os.close(lock_folder(folder / JOURNAL))


def _is_run(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except Malformed:
        return False
    return True


def _clear(folder: Path) -> None:
    """Make the run's folder, and take out what an older run wrote: its summary first, so that it is no longer complete,
    its manifest last, so that it is known as a run's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    for name in (JOURNAL, TABLES):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in (REPORT, MANIFEST):
        (folder / name).unlink(missing_ok=True)


def _manifest(order: RunOrder) -> Manifest:
    """The manifest of a new run: the scenario's settings, and the files with their digests."""
    if order.usage is not None and (order.sample is not None or order.requests is not None):
        raise Malformed(
            "option --usage",
            found="also --sample or --requests",
            expected="usage to replay, or traffic to draw, not both",
            remedy="Leave out one: --usage meters the file's rows and draws nothing.",
        )
    settings = _settings(order)
    scenario = scenario_from(settings)
    usage, sample, power = (
        digest_of(path) if path else None for path in (order.usage, order.sample, order.power)
    )
    terms = venue_terms(scenario).digest()
    return Manifest(__version__, settings, usage, sample, power, order.lenient, order.stretch, terms)


def _settings(order: RunOrder) -> dict[str, object]:
    """What the command line sets of the scenario: the file's entries, and the options that go over them."""
    settings: dict[str, object] = {}
    if order.scenario is not None:
        try:
            settings = tomllib.loads(order.scenario.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Malformed(
                f"scenario file {order.scenario}",
                found=str(error),
                expected="a TOML file",
                remedy="Mend the file.",
            ) from None
    given = {"seed": order.seed, "requests": order.requests}
    return settings | {name: value for name, value in given.items() if value is not None}


def _begun(order: RunOrder) -> Manifest:
    """The manifest of the run to resume. Raises Malformed for an input that is not the one which began it."""
    manifest = read_manifest(order.out)
    for name, then in (("usage", manifest.usage), ("sample", manifest.sample), ("power", manifest.power)):
        path: Path | None = getattr(order, name)
        if path is not None and (then is None or digest_of(path).digest != then.digest):
            raise _not_what_began(f"option --{name}", path, then.path if then else "no such file")
    for name, held in (("lenient", manifest.lenient), ("stretch", manifest.stretch), ("replace", False)):
        if getattr(order, name) and not held:
            raise _not_what_began(f"option --{name}", "it", "a run without it")
    for name, value in _settings(order).items():
        setting = manifest.settings.get(name, "its default")
        if value != setting:
            raise _not_what_began(f"scenario, {name}", value, setting)
    return manifest


def _not_what_began(thing: str, found: object, began: object) -> Malformed:
    return Malformed(f"{thing}, with --resume", found=str(found), expected=f"what began the run: {began}",
                     remedy="Leave it out: a run is resumed with what began it.")  # fmt: skip


def _expect_same_terms(manifest: Manifest, assembled: Assembled) -> None:
    found = assembled.terms.digest()
    if found != manifest.terms_digest:
        raise Malformed("venue terms", found=found, expected=f"those that began the run, {manifest.terms_digest}",
                        remedy="Resume with the version of ciyuan and of its catalogue that began the run.")  # fmt: skip


def _store(folder: Path, genesis: str, resume: bool) -> Store:
    """The run's journal: new, or the one of an interrupted run (which may have been interrupted before it had one)."""
    journal = folder / JOURNAL
    if resume and any(journal.glob(SEGMENTS)):
        return Store.open(journal, genesis)
    return Store.create(journal, genesis)


def _play(folder: Path, assembled: Assembled, heed: Heed, *, resume: bool, progress: str) -> RunSummary:
    world = assembled.world
    venue = Venue(assembled.terms)
    auditor = Auditor(venue)
    with _store(folder, assembled.terms.digest(), resume) as store:
        host = VenueHost(venue, store, resume=resume)
        with Tables(folder / TABLES, run_specs(world.contracts, world.cast.names)) as tables:
            month = Month(
                world, host.stage, venue.exchange, (auditor.hear, lambda _, events: tables.take(events))
            )
            span = (world.calendar.start_ns(month.first_day), world.calendar.start_ns(month.last_day + 1))
            try:
                with shown_progress(progress, *span) as show:
                    month.play(lambda until_ns: _hourly(until_ns, auditor, host, show, heed))
                auditor.check()
            finally:
                host.commit()  # also of the rows that broke a law: they are the evidence
        beyond = host.unplayed_rows()
        if beyond:
            raise Malformed(
                f"run folder {folder}",
                found=f"{beyond} journaled rows after the month's end",
                expected="none",
                remedy="Resume with the inputs that began the run.",
            )
        state = venue.state_hash()
        write_site_hours(folder / TABLES, world)
        write_participants(folder / TABLES, world)
        write_margin_tables(folder / TABLES, venue, dict(world.cast.names))
        desk = DeskOfRun(month, venue)
        bills = write_hedge_tables(folder / TABLES, desk, world)
        played = Played(assembled, month, auditor, host, desk, bills)
        return _summary(played, store.sequence, state)


def _hourly(
    until_ns: int, auditor: Auditor, host: VenueHost, show: Callable[[int, int], None], heed: Heed
) -> None:
    """At the end of a step: each full hour audit everything, make it durable, show progress, and end if that was asked."""
    if until_ns % NS_PER_HOUR == 0:
        auditor.check()
        host.commit()
        show(until_ns, host.acknowledged_rows)
        heed()


@dataclass(frozen=True, slots=True)
class Played:
    """A month that was played to its end, and all who took part in it."""

    assembled: Assembled
    month: Month
    auditor: Auditor
    host: VenueHost
    desk: DeskOfRun
    bills: tuple[BuyerBill, ...]


def _summary(played: Played, sequence: int, state: str) -> RunSummary:
    tally, world = played.month.tally, played.assembled.world
    counts = tally.counts
    return RunSummary(
        month=world.scenario.month,
        seed=world.scenario.seed,
        grade=world.grade.code,
        sources=played.assembled.sources,
        requests_asked=len(world.traffic),
        requests_metered=tally.settled,
        requests_refused=len(world.traffic) - tally.settled,
        tokens_in=int(tally.tokens[0]),
        tokens_cached=int(tally.tokens[1]),
        tokens_out=int(tally.tokens[2]),
        standard_mtok=int(tally.centitokens.sum()) // CENTI_PER_MTOK,
        charged_micro=int(tally.charged_micro.sum()),
        orders=tally.orders,
        orders_refused=tally.orders_refused,
        trades=counts[ClearingEvent.NOVATED],
        fixings=counts[IndexEvent.FIXED],
        withheld=counts[IndexEvent.WITHHELD],
        margin_calls=counts[ClearingEvent.MARGIN_CALL],
        audits=played.auditor.audits,
        journal_rows=sequence,
        replayed_rows=played.host.replayed_rows,
        state_hash=state,
        bad_rows=played.assembled.bad_rows,
        hedges=played.bills,
        final_micro=played.desk.mean.mean_micro if played.desk.mean else None,
        hedge_ratio=played.desk.ratio(),
    )


def print_summary(summary: RunSummary) -> None:
    """Print a run's summary as a table, and the hedging buyers' bills."""
    from ciyuan.services.summary_print import print_tables

    print_tables(summary)
