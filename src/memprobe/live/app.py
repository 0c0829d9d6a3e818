"""The screen of ``memprobe live``, and its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Static

from memprobe.errors import MemprobeError
from memprobe.findings import Finding, Report
from memprobe.live import panels
from memprobe.live.follower import Ends, Follower

LEAVE = 40.0  # seconds a probe is given to leave


class Ask(ModalScreen[bool]):
    """One question that is answered by y or n."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"), Binding("n,escape,q", "answer(False)", "no"),
    ]  # fmt: skip
    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask Static { width: 70%; max-width: 90; border: round $warning; padding: 1 2; }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Show the question."""
        yield Static(f"{self._question}\n\n[y] yes   [n] no", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


class LiveApp(App[None]):
    """Shows reports as a follower makes them. ``release`` lets go of one finding; None: it cannot.

    ``make`` gets the callbacks ``show``, ``tell`` and ``over``, and returns the follower.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "snapshot", "snapshot"), Binding("g", "collect", "gc"),
        Binding("r", "release", "release"),
        Binding("q,ctrl+c", "leave", "quit", key_display="q", priority=True),
    ]  # fmt: skip
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; }
    #timeline { height: 22%; min-height: 6; max-height: 12; border: round $primary; }
    #left { width: 3fr; } #right { width: 2fr; }
    #findings { height: 1fr; min-height: 5; border: round $primary; }
    #holders { height: 2fr; min-height: 4; border: round $primary; }
    #detail { height: auto; max-height: 6; padding: 0 1; }
    #account { border: round $primary; height: 2fr; }
    #spark { border: round $primary; height: 1fr; }
    #news { height: 1; color: $text-muted; }
    """

    def __init__(
        self, make: Callable[[LiveApp], Follower], release: Callable[[Finding], str] | None,
        max_pause: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.error: MemprobeError | None = None
        self.report: Report | None = None
        self._ends: Ends = []
        self._release = release
        self._max_pause = max_pause
        self._leaving = False
        self.follower = make(self)

    def compose(self) -> ComposeResult:
        """Lay out the panels."""
        yield Static("memprobe live", id="head")
        yield Static(id="timeline")
        with Horizontal():
            with Vertical(id="left"):
                yield DataTable(id="findings", cursor_type="row")
                yield Static(id="detail")
                yield DataTable(id="holders", cursor_type="row")
            with Vertical(id="right"):
                with VerticalScroll(id="account"):
                    yield Static(id="account-text")
                with VerticalScroll(id="spark"):
                    yield Static(id="spark-text")
        yield Static("attaching …", id="news")
        yield Footer()

    def on_mount(self) -> None:
        """Name the columns and begin to follow."""
        for name, title in (("timeline", "memory"), ("findings", "findings"),
                            ("holders", "who holds what"), ("account", "account"),
                            ("spark", "Spark storage")):  # fmt: skip
            self.query_one(f"#{name}").border_title = title
        self.query_one("#findings", DataTable).add_columns("rule", "bytes", "what")
        self.query_one("#holders", DataTable).add_columns("holder", "type", "bytes", "made", "used")
        self.query_one("#spark").display = False
        self.follower.start()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out the key that would do nothing here."""
        return not (action == "release" and self._release is None)

    def show(self, report: Report, ends: Ends) -> None:
        """Draw a new report; called on the follower's thread."""
        self._on_screen(self._draw, report, ends)

    def tell(self, text: str) -> None:
        """Show one line of news; called on the follower's thread."""
        self._on_screen(self.query_one("#news", Static).update, text)

    def over(self, error: MemprobeError | None) -> None:
        """End, with the error for whoever started us; called on the follower's thread."""
        self.error = error
        self._on_screen(self.exit)

    def on_resize(self) -> None:
        """Draw what depends on the width again."""
        if self.report is not None:
            self.call_after_refresh(self._draw, self.report, self._ends)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Tell what the finding under the cursor means."""
        if event.data_table.id == "findings":
            finding = self._chosen()
            self.query_one("#detail", Static).update(panels.detail(finding) if finding else "")

    def action_snapshot(self) -> None:
        """Ask for a snapshot now."""
        self.tell_here("taking a snapshot …")
        self.follower.ask("snapshot", "snapshot asked for", max_pause=self._max_pause)

    def action_collect(self) -> None:
        """Ask for a garbage collection in the target."""
        self.tell_here("collecting …")
        self.follower.ask("collect", "Python has collected garbage")

    def action_release(self) -> None:
        """Ask, and let go of the finding under the cursor."""
        finding = self._chosen()
        if finding is None or not finding.release:
            self.tell_here("no finding is chosen that can be released")
            return
        self.push_screen(
            Ask(f"Let go of this in the running notebook?\n\n{panels.detail(finding).plain}"),
            lambda yes: self._let_go(finding) if yes else None,
        )

    def action_leave(self) -> None:
        """Take the probe out, then end."""
        if self._leaving:
            self.exit()
            return
        self._leaving = True
        self.tell_here("leaving: the probe goes … (q again does not wait)")
        self.follower.leave()

    def tell_here(self, text: str) -> None:
        """Show one line of news, from the screen's own thread."""
        self.query_one("#news", Static).update(text)

    def _let_go(self, finding: Finding) -> None:
        def work() -> None:
            assert self._release is not None
            try:
                self.tell(self._release(finding))
            except MemprobeError as error:
                self.tell(f"{error.summary}: {error.cause}")

        self.tell_here(f"releasing {finding.fingerprint} …")
        self.run_worker(work, thread=True)

    def _chosen(self) -> Finding | None:
        row = self.query_one("#findings", DataTable).cursor_row
        found = self.report.findings if self.report else []
        return found[row] if 0 <= row < len(found) else None

    def _draw(self, report: Report, ends: Ends) -> None:
        self.report, self._ends = report, ends
        self.query_one("#head", Static).update(panels.head(report))
        chart = self.query_one("#timeline", Static)
        size = chart.content_size
        text = panels.timeline(report.recording, ends, size.width, max(1, size.height - 2))
        chart.update(text)
        self._fill("findings", panels.findings(report))
        self._fill("holders", panels.holders(report))
        if not report.findings:
            self.query_one("#detail", Static).update("nothing to let go of so far")
        width = self.query_one("#account").content_size.width
        account = panels.account(report.account.processes, width)
        self.query_one("#account-text", Static).update(account)
        self.query_one("#spark").display = report.spark is not None
        self.query_one("#spark-text", Static).update(panels.spark(report))

    def _fill(self, name: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Replace a table's rows, and keep the cursor where it is."""
        table = self.query_one(f"#{name}", DataTable)
        row = table.cursor_row
        table.clear()
        for cells in rows:
            table.add_row(*cells)
        if rows:
            table.move_cursor(row=min(max(row, 0), len(rows) - 1))

    def _on_screen(self, act: Callable[..., object], *arguments: object) -> None:
        """Run on the screen's thread; nothing where the screen is gone already."""
        if self.is_running:
            self.call_from_thread(act, *arguments)
