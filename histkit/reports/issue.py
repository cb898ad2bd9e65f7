"""Issue statements: number them, bill each row at most once, and enter them in the register with their files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Any

import pandas as pd

from histkit.errors import ArchiveError, InputError
from histkit.frame.clock import iso, zone_of
from histkit.reports.bill import Bill, corrected, relabelled
from histkit.reports.billed_rows import encode_rows
from histkit.reports.changes import Changes, Locate, RowMatcher, changes_of
from histkit.reports.register import (
    VERSION,
    Entry,
    HistoryRegisters,
    Key,
    Register,
    RegisterState,
    copy_file,
)
from histkit.reports.statement_files import render_statement
from histkit.reports.terms import DEFAULT_NUMBER, count_series, counted_number, is_counted
from histkit.util.files import check_writable, hash_of, shown_path, temporary_name
from histkit.util.outputs import OutputFile
from histkit.util.text import count_noun, quoted

_MOST_SHOWN = 3  # statements in a message

Place = Callable[[Bill, str | None, str | None], OutputFile | None]


class _NeedsCorrection(InputError):
    """Rows or terms that only a correction can bill; the message lacks its end, which is `advice`."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@dataclass
class Issue:
    """A statement that is issued, or was.

    Attributes
    ----------
    bill : Bill
        What it bills: of a correction the difference.
    output : OutputFile or None
        Its file.
    earlier : list of Entry
        What was issued for the same client and period.
    changes : Changes or None
        Since then; None for a first statement.
    entry : Entry or None
        In the register.
    again : bool
        Whether it was issued before.
    """

    bill: Bill
    output: OutputFile | None
    earlier: list[Entry] = field(default_factory=list)
    changes: Changes | None = None
    entry: Entry | None = None
    again: bool = False


@dataclass
class Issuer:
    """Issues the statements of a frame.

    Attributes
    ----------
    register : Register
        Where they are entered.
    bill_of : callable
        Computes the statement of an entry's client and period as it is now.
    locate : callable
        Says where the rows are that went: words to the number of rows.
    place : callable
        Makes the file of a bill, from the bill, the number of a correction or None, and the file of an entry that is
        issued again or None.
    correct : bool
        Whether to correct what was issued.
    matcher : RowMatcher
        Finds rows among those that are billed.
    history : HistoryRegisters or None
        All registers of the history that the frame was loaded from.
    """

    register: Register
    bill_of: Callable[[Entry], Bill]
    locate: Locate
    place: Place
    correct: bool
    matcher: RowMatcher
    history: HistoryRegisters | None = None

    def issue(self, bills: Sequence[Bill], period: tuple[int, int] | None = None, column: str = "") -> list[Issue]:
        """Issue bills together: all of them, or none.

        Parameters
        ----------
        bills : sequence of Bill
            Of different clients.
        period : (start, end), optional
            Also look at what was issued to other clients for this period, whose rows may all have gone.
        column : str
            The column with the clients, for `period`.

        Raises
        ------
        InputError
            A statement is provisional, differs from what was issued, or has rows that are billed already.
        ArchiveError
            The register or a file can't be read or written.
        """
        for bill in bills:
            self._check(bill)
        with (self.history or self.register).locked():
            state = self.register.read_intact()
            with suppress(ArchiveError):  # of files that still can't be written; --check names them
                self.register.finish(state.entries)
            bills = [*bills, *self._gone(state, bills, period, column)]
            issues = self._plan(state, bills)
            fresh = [issue for issue in issues if not issue.again]
            self._check_others(state, fresh)
            self._number(state, fresh)
            for issue in issues:
                if issue.again:
                    self._write_again(state, issue)
            if fresh and self.history is not None:
                self.history.note()
            self._enter(state, fresh)
        self._warn_of_renamed()
        return issues

    def preview(self, bill: Bill) -> tuple[Bill, list[Issue]]:
        """Return what a bill would be with corrections, and those of other statements, without issuing any.

        Raises
        ------
        InputError
            Nothing was issued that has to be corrected, or the bill couldn't be issued.
        """
        state = self.register.read_intact()
        entries = state.by_key.get(bill.key, [])
        others = [issue for issue in self._plan(state, [bill]) if issue.bill.key != bill.key]
        self._warn_of_renamed()
        if entries:
            changes = changes_of(self._net(state, bill.key), entries[-1], bill, self.matcher)
            if not changes.any() and not others:
                raise InputError(
                    f"The statement of {quoted(bill.facts['client'])} for {bill.facts['period']} is issued already, as "
                    f"{entries[-1].number}, and nothing has changed since: there is nothing to correct. Leave out "
                    "correct=."
                )
            return corrected(relabelled(bill, entries[-1].voices), entries, changes.counts), others
        if not others:
            raise InputError(
                f"Nothing was issued to {quoted(bill.facts['client'])} for {bill.facts['period']}, and none of its "
                f"rows is billed: there is nothing to correct in {shown_path(self.register.path)}. Leave out correct=."
            )
        return bill, others

    def _warn_of_renamed(self) -> None:
        if self.matcher.renamed:
            warnings.warn(self.matcher.note(), stacklevel=5)  # at the call of statement or statements

    def _check(self, bill: Bill) -> None:
        """Raise unless a bill can be issued."""
        what = f"The statement of {quoted(bill.facts['client'])} for {bill.facts['period']}"
        reasons = bill.facts["provisional"]
        if reasons:
            raise InputError(f"{what} is provisional and can't be issued: {'; '.join(reasons)}.")
        without = int(bill.rows["history_item_id"].isna().sum())
        if without:
            raise InputError(f"{what} has {count_noun(without, 'row')} without an id: nothing proves that it is new.")

    def _gone(
        self, state: RegisterState, bills: Sequence[Bill], period: tuple[int, int] | None, column: str
    ) -> list[Bill]:
        """Return the bills of clients that have statements for a period and no rows any more."""
        keys = {bill.key for bill in bills}
        gone = [
            self.bill_of(entries[-1])
            for key, entries in sorted(state.by_key.items())
            if key[1:] == period and key not in keys and entries[-1].column == column
        ]
        for bill in gone:
            self._check(bill)
        return gone

    def _plan(self, state: RegisterState, bills: Sequence[Bill]) -> list[Issue]:
        """Decide what each bill becomes; with `correct` also which statements of others have to be corrected."""
        try:
            return self._plan_with(state, bills, correct=self.correct)
        except _NeedsCorrection as error:
            note = f" {self.matcher.note()}".rstrip()
            try:
                self._plan_with(state, bills, correct=True)
            except InputError as refusal:
                raise InputError(f"{error}, and a correction is not possible: {refusal}{note}") from None
            raise InputError(f"{error}{error.advice}{note}") from None

    def _plan_with(self, state: RegisterState, bills: Sequence[Bill], *, correct: bool) -> list[Issue]:
        issues = {bill.key: self._compare(state, bill, correct=correct) for bill in bills}
        while True:
            conflicts = self._conflicts(state, issues)
            if not conflicts:
                break
            if any(key in issues for key in conflicts):
                raise InputError(self._overlap_line(issues, conflicts))
            if not correct:
                what = self._conflict_line(state, issues, conflicts)
                raise _NeedsCorrection(what, ". With correct=True, a correction credits them there first.")
            for key in conflicts:
                last = state.by_key[key][-1]
                if last.column != bills[0].column:
                    raise InputError(
                        f"{self._conflict_line(state, issues, {key: conflicts[key]})}, whose clients are in the column "
                        f"{quoted(last.column)}: once they are another client's there, correct it with "
                        f"column={last.column!r}."
                    )
                bill = self.bill_of(last)
                self._check(bill)
                issues[key] = self._compare(state, bill, correct=correct)
        return sorted(issues.values(), key=lambda issue: (issue.changes is None, issue.bill.key))  # corrections first

    def _compare(self, state: RegisterState, bill: Bill, *, correct: bool) -> Issue:
        entries = state.by_key.get(bill.key, [])
        if not entries:
            _check_zone(bill, [entry for entry in state.entries if entry.client == bill.key[0]])
            return Issue(bill, None)
        last = entries[-1]
        _check_comparable(bill, last)
        changes = changes_of(self._net(state, bill.key), last, bill, self.matcher)
        bill = relabelled(bill, last.voices)
        if not changes.any():
            self._check_repeated(bill, last)
            bill = corrected(bill, entries[:-1], last.changes) if last.corrects is not None else bill
            return Issue(bill, None, entries, changes, last, again=True)
        difference = corrected(bill, entries, changes.counts)
        if not correct:
            raise self._needed_correction(entries, changes, difference)
        return Issue(difference, None, entries, changes)

    def _net(self, state: RegisterState, key: Key) -> pd.DataFrame:
        net = self._net_rows(self.register.path, state, key)
        if (net["times"] != 1).any():
            raise ArchiveError(
                f"{shown_path(self.register.path)} bills rows of {quoted(key[0])} more than once: run histkit "
                "statements --check."
            )
        return net

    @staticmethod
    def _net_rows(path: Path, state: RegisterState, key: Key) -> pd.DataFrame:
        try:
            return state.net(key)
        except ValueError as error:
            raise ArchiveError(f"{shown_path(path)}: {error}: restore a copy of the register.") from None

    @staticmethod
    def _check_repeated(bill: Bill, entry: Entry) -> None:
        """Raise if the number or date that was passed is not that of the entry."""
        what = f"The statement of {quoted(entry.client)} for {entry.period} is issued already, as {entry.number}"
        terms = bill.terms
        if terms.number is not None and not is_counted(terms.number) and terms.number != entry.number:
            raise InputError(f"{what}, not as {terms.number}.")
        if terms.issue_date is not None and terms.issue_date.isoformat() != entry.issue_date:
            raise InputError(f"{what} of {entry.issue_date}, not of {terms.issue_date.isoformat()}.")

    def _needed_correction(self, entries: Sequence[Entry], changes: Changes, difference: Bill) -> _NeedsCorrection:
        numbers = entries[0].number + (f" (last correction: {entries[-1].number})" if len(entries) > 1 else "")
        what = f"{quoted(entries[0].client)}, {entries[0].period} is issued already, as {numbers}, and differs now"
        amounts = [f"{currency} {amount.total:f}" for currency, amount in sorted(difference.amounts.items())]
        of = f" ({', '.join(amounts)})" if amounts else ""
        advice = f". A correction (correct=True) bills the difference{of}."
        return _NeedsCorrection(f"{what}: {'; '.join(changes.lines(self.locate))}", advice)

    def _conflicts(self, state: RegisterState, issues: Mapping[Key, Issue]) -> dict[Key, dict[Key, int]]:
        """Return the statements that have rows of the issues: their key to the issues' keys and numbers of rows.

        The rows of issues replace what was issued for their keys.
        """
        if not issues:
            return {}
        claimed = pd.concat(
            [issue.bill.rows.assign(owner=place) for place, issue in enumerate(issues.values())], ignore_index=True
        )
        keys = list(issues)
        conflicts: dict[Key, dict[Key, int]] = {}
        for owner, rows in claimed[claimed["history_item_id"].duplicated(keep=False)].groupby("owner"):
            others = claimed[claimed["owner"] != owner]
            count = len(self.matcher.common(others, rows))
            if count:
                other = int(self.matcher.common(rows, others)["owner"].iloc[0])
                conflicts[keys[int(owner)]] = {keys[other]: count}
        if conflicts:
            return conflicts
        for key in state.by_key:
            if key not in issues:
                common = self.matcher.common(self._net(state, key), claimed)
                if len(common):
                    counts = common["owner"].value_counts(sort=False)
                    conflicts[key] = {keys[int(owner)]: int(count) for owner, count in counts.items()}
        return conflicts

    @staticmethod
    def _overlap_line(issues: Mapping[Key, Issue], conflicts: Mapping[Key, Mapping[Key, int]]) -> str:
        """Return that two of the issues have rows in common."""
        key, mine = next((key, mine) for key, counts in conflicts.items() if key in issues for mine in counts)
        count = conflicts[key][mine]
        return (
            f"{count_noun(count, 'row')} would be billed twice: {'it belongs' if count == 1 else 'they belong'} to "
            f"{_described(issues[key].bill.facts)} and to {_described(issues[mine].bill.facts)}. Use periods that "
            "don't overlap."
        )

    @staticmethod
    def _conflict_line(
        state: RegisterState, issues: Mapping[Key, Issue], conflicts: Mapping[Key, Mapping[Key, int]]
    ) -> str:
        """Return which rows of the issues other statements bill, without an end."""
        parts = []
        for key, counts in list(conflicts.items())[:_MOST_SHOWN]:
            last = state.by_key[key][-1]
            for mine, count in counts.items():
                facts = issues[mine].bill.facts
                rows = f"{count_noun(count, 'row')} of {quoted(facts['client'])}, {facts['period']}"
                where = f"{last.number} of {quoted(key[0])}, {last.period}"
                parts.append(f"{rows} {'is' if count == 1 else 'are'} billed already by statement {where}")
        more = f"; and in {len(conflicts) - _MOST_SHOWN:,} more" if len(conflicts) > _MOST_SHOWN else ""
        return f"{'; '.join(parts)}{more}"

    def _check_others(self, state: RegisterState, issues: Sequence[Issue]) -> None:
        """Raise if another register of the same history bills rows of an issue."""
        if self.history is None:
            return
        for path, lacking in self.history.others(state):
            for entries in lacking.by_key.values():
                net = self._net_rows(path, lacking, entries[0].key)
                billed = net[net["times"] > 0]
                for issue in issues:
                    count = len(self.matcher.common(billed, issue.bill.rows))
                    if count:
                        facts = issue.bill.facts
                        rows = f"{count_noun(count, 'row')} of {quoted(facts['client'])}, {facts['period']}"
                        raise InputError(
                            f"{rows} {'is' if count == 1 else 'are'} billed already by statement {entries[-1].number} "
                            f"of {quoted(entries[-1].client)}, {entries[-1].period}, in another register of this "
                            f"history: pass register={str(path)!r}."
                        )

    def _number(self, state: RegisterState, issues: Sequence[Issue]) -> None:
        """Assign each issue its number, date, file and entry."""
        taken = {entry.number for entry in state.entries}
        counts: dict[str, int] = {}
        files: set[Path | None] = set()
        now = datetime.now(UTC)
        for issue in issues:
            bill, terms = issue.bill, issue.bill.terms
            day = terms.issue_date or now.astimezone(zone_of(bill.facts["tz"])).date()
            template = terms.number or DEFAULT_NUMBER
            series = count = None
            if is_counted(template):
                series = count_series(template, day)
                count = counts.get(series, state.next_count(series) - 1) + 1
                while (number := counted_number(template, day, count)) in taken:
                    count += 1
                counts[series] = count
            else:
                number = counted_number(template, day, 0)
                if number in taken:
                    raise InputError(
                        f"number={quoted(number)} is taken by a statement that is issued already, or by another one "
                        "of this issue: use another one, or a template such as '2026-{n:03}', which is counted."
                    )
            taken.add(number)
            is_correction = issue.changes is not None
            issue.output = self.place(bill, number if is_correction else None, None)
            self._check_file(state.entries, issue.output)
            file = None if issue.output is None else issue.output.path
            if file is not None and file in files:
                raise InputError(f"{shown_path(file)} would be the file of two statements: use another name.")
            files.add(file)
            issue.bill = _numbered(bill, number, day)
            issue.entry = self._entry(issue, number, series, count, day, now)

    def _check_file(self, entries: Sequence[Entry], output: OutputFile | None) -> None:
        """Raise if a file can't be proven, or is that of a statement that was issued."""
        if output is None:
            return
        if output.streamed:
            raise InputError(f"{shown_path(output.path)}: an issued statement needs a file that stays.")
        self.register.check_free(output.path, entries)

    def _entry(
        self, issue: Issue, number: str, series: str | None, count: int | None, day: date, now: datetime
    ) -> Entry:
        bill, facts = issue.bill, issue.bill.facts
        signed = bill.rows.assign(sign=1) if issue.changes is None else issue.changes.signed
        return Entry(
            prev="",
            version=VERSION,
            number=number,
            corrects=issue.earlier[0].number if issue.earlier else None,
            part=(1, 1),
            series=series,
            count=count,
            issue_date=day.isoformat(),
            issued_at=iso(int(now.timestamp()), UTC),
            client=facts["client"],
            column=bill.column,
            period=facts["period"],
            start=facts["start"],
            end=facts["end"],
            tz=facts["tz"],
            by=[*map(str, bill.names)],
            title=facts["title"],
            fingerprint=facts["fingerprint"],
            rows_fingerprint=facts["rows_fingerprint"],
            rules=bill.rules,
            totals=bill.totals,
            amounts={currency: amount.texts() for currency, amount in sorted(bill.amounts.items())},
            priced="cost" in bill.lines.columns,
            terms=bill.terms.money(),
            letter=bill.terms.letter(),
            changes={} if issue.changes is None else issue.changes.counts,
            voices=bill.voices,
            file=None if issue.output is None else self.register.relative(issue.output.path),
            rows=encode_rows(signed),
        )

    def _enter(self, state: RegisterState, issues: Sequence[Issue]) -> None:
        """Write files and entries: the bytes first, then the lines, then the files in their places."""
        if not issues:
            return
        entries = [issue.entry for issue in issues if issue.entry is not None]
        with self.register.staged() as folder:
            try:
                for issue in issues:
                    if issue.output is not None and issue.entry is not None:
                        check_writable(issue.output.path)
                        issue.entry.sha256 = self._stage(issue, folder)
                self.register.append(entries, state)
            except BaseException:
                with suppress(ArchiveError):
                    self.register.finish(state.entries)
                raise
            try:
                self.register.finish([*state.entries, *entries])
            except ArchiveError as error:
                numbers = ", ".join(entry.number for entry in entries)
                raise ArchiveError(
                    f"{error} Issued as {numbers}: the next issue writes the files, which lie in "
                    f"{shown_path(self.register.staging)}."
                ) from None

    def _stage(self, issue: Issue, folder: Path) -> str:
        assert issue.output is not None
        temporary = folder / temporary_name()
        render_statement(issue.bill.table(), issue.output.kind, temporary)
        return self.register.stage(temporary)

    def _write_again(self, state: RegisterState, issue: Issue) -> None:
        """Write the file of a statement that was issued before, with the same bytes."""
        assert issue.entry is not None
        entry = issue.entry
        issue.bill = _numbered(issue.bill, entry.number, date.fromisoformat(entry.issue_date))
        output = self.place(issue.bill, entry.number if entry.corrects else None, entry.file)
        issue.output = output
        if output is None:
            return
        file = self.register.relative(output.path)
        if any(other.file == file and hash_of(output.path) == other.sha256 for other in issue.earlier):
            return
        self._check_file([other for other in state.entries if other not in issue.earlier], output)
        with self.register.staged() as folder:
            digest = self._stage(issue, folder)
            staged = self.register.staging / digest
            try:
                known = entry.file is not None and Path(entry.file).suffix.lower() == output.path.suffix.lower()
                if known and digest != entry.sha256:
                    raise ArchiveError(
                        f"Statement {entry.number} can't be written again with the same bytes (by this version of "
                        f"histkit, or of its packages): restore {shown_path(self.register.place(entry.file or ''))}."
                    )
                if any(other.file == file and other is not entry for other in issue.earlier):
                    raise ArchiveError(
                        f"{shown_path(output.path)} is the file of an earlier statement and is not as it was issued: "
                        "restore a copy, and use another name."
                    )
                copy_file(staged, output.path)
            finally:
                staged.unlink(missing_ok=True)


def _check_comparable(bill: Bill, entry: Entry) -> None:
    """Raise if the call lacks what an issued statement was computed with: else its correction would credit it all."""
    what = f"The statement of {quoted(entry.client)} for {entry.period} is issued already, as {entry.number}"
    if entry.priced and "cost" not in bill.lines.columns:
        raise InputError(f"{what}, with prices: pass prices=.")
    if entry.terms and "terms" not in bill.facts:
        raise InputError(f"{what}, with a minimum fee, a markup or a tax: pass terms=.")
    if entry.tz != bill.facts["tz"]:
        raise InputError(f"{what}, in {entry.tz}: pass tz={entry.tz!r}.")


def _check_zone(bill: Bill, entries: Sequence[Entry]) -> None:
    """Raise if the statements of a client so far are in a zone whose days begin at other instants.

    Rows between a month of one zone and the next month of another one would be in no bill, or in two. A period that
    begins where one ended that was billed is right in any zone.
    """
    facts, (client, start, end) = bill.facts, bill.key
    if not entries or any(entry.key[2] == start for entry in entries):
        return
    same = [entry for entry in entries if entry.period == facts["period"]]
    last = max(same or entries, key=lambda entry: entry.key[2])
    zone = zone_of(last.tz)
    if last.tz == facts["tz"] or all(_is_midnight(edge, zone) for edge in (start, end)):
        return
    raise InputError(
        f"Statement {last.number} of {quoted(client)}, {last.period} is in {last.tz}, and this one, {facts['period']}, "
        f"is in {facts['tz']}: rows between them would be billed twice or never. Use tz={last.tz!r}."
    )


def _is_midnight(edge: int, zone: tzinfo) -> bool:
    return datetime.fromtimestamp(edge, zone).time() == time()


def _described(facts: Mapping[str, Any]) -> str:
    return f"{quoted(facts['client'])}, {facts['period']} ({facts['tz']})"


def _numbered(bill: Bill, number: str, day: date) -> Bill:
    return replace(bill, facts={**bill.facts, "number": number, "issue_date": day.isoformat()})
