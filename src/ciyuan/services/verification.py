"""`ciyuan verify`: a run's journal replayed into a new venue, audited again, and its state compared."""

from dataclasses import dataclass
from pathlib import Path

from ciyuan.basics.errors import Malformed
from ciyuan.services.archive import SEGMENTS, Archive
from ciyuan.services.manifest import JOURNAL, read_manifest, read_summary
from ciyuan.services.progress import shown_rows
from ciyuan.services.world import venue_terms
from ciyuan.simulation.auditor import Auditor
from ciyuan.simulation.scenario import scenario_from
from ciyuan.venue.machine import Venue

AUDIT_EVERY_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found. `same`: state and rows are what the run ended with, or it has not ended (`complete`)."""

    folder: str
    complete: bool
    same: bool
    rows: int
    rows_expected: int | None
    state_hash: str
    state_hash_expected: str | None
    audits: int
    recovery: str


def verify_run(folder: Path, progress: str) -> Verdict:
    """Replay and compare. `same` is False if the state, or the number of rows, is not what the run said it was.

    A run that was interrupted has said nothing yet: then what is journaled is replayed and audited, and `complete` is False.
    Raises JournalCorrupt for a damaged byte, InvariantBroken if the replayed books break a law, Malformed for anything else.
    """
    manifest, summary = read_manifest(folder), read_summary(folder)
    terms = venue_terms(scenario_from(manifest.settings))
    if terms.digest() != manifest.terms_digest:
        raise Malformed("venue terms", found=terms.digest(), expected=f"those that began the run, {manifest.terms_digest}",
                        remedy="Verify with the version of ciyuan and of its catalogue that began the run.")  # fmt: skip
    venue = Venue(terms)
    auditor = Auditor(venue)
    done, recovery = 0, "journal: none was begun."
    if summary is not None or any((folder / JOURNAL).glob(SEGMENTS)):
        archive = Archive.open(folder / JOURNAL, manifest.terms_digest)
        done, recovery = _replay(archive, venue, auditor, progress), str(archive.recovery)
    auditor.check()
    state = venue.state_hash()
    expected = summary.state_hash if summary else None
    rows_expected = summary.journal_rows if summary else None
    return Verdict(
        folder=str(folder),
        complete=summary is not None,
        same=summary is None or (state, done) == (expected, rows_expected),
        rows=done,
        rows_expected=rows_expected,
        state_hash=state,
        state_hash_expected=expected,
        audits=auditor.audits,
        recovery=recovery,
    )


def _replay(archive: Archive, venue: Venue, auditor: Auditor, progress: str) -> int:
    """Apply all rows, auditing now and then; how many there were."""
    done = audited = 0
    with shown_rows(progress, archive.sequence) as show:
        for rows in archive.read():
            auditor.hear(rows, venue.apply(rows))
            done += len(rows)
            if done - audited >= AUDIT_EVERY_ROWS:
                auditor.check()
                show(done)
                audited = done
        show(done)
    return done


def print_verdict(verdict: Verdict) -> None:
    """Print what was found, for people."""
    print(verdict.recovery)
    print(f"replayed {verdict.rows:,} rows, audited {verdict.audits} times: the books balance")
    print(f"state hash {verdict.state_hash}")
    if not verdict.complete:
        print("the run was interrupted before its end: `ciyuan run --resume` goes on with it")
    elif verdict.same:
        print("the same as when the run ended")
    else:
        ended = f"{verdict.rows_expected:,} rows and state hash {verdict.state_hash_expected}"
        print(f"NOT the same: the run ended with {ended}")
