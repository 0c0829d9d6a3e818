"""MP303: texts kept as Python objects, where a typed column would take a fraction."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding, ordered
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.retention import Bundle, bundle_around
from memprobe.findings import Finding, Reclaim
from memprobe.recording.schema import Holder, Snapshot, Strings

RATIO = 2.0  # what the objects must take of a typed column, at least


class ObjectDtypeBloat:
    """Texts as Python objects, at a multiple of what a typed column takes

    ## What it means
    A column of dtype `object` is an array of pointers, and each text is a Python object of its
    own: 49 bytes and more beside its characters, and 8 for the pointer. An Arrow string column
    keeps the characters one after the other, with 8 bytes for each text.

    ## Why it matters
    Short texts take five to ten times as much as they need, and everything that touches them is
    slower: the garbage collector's caches, pickling, grouping and joining. It is only advice:
    the memory is in use, and comes back by converting it.

    ## Example
    ```python
    df = pd.read_csv("orders.csv")               # pandas 1 and 2: texts become objects
    df = pd.DataFrame(rows, dtype=object)
    ```

    ## Use instead
    ```python
    df = pd.read_csv("orders.csv", dtype_backend="pyarrow")   # pandas 2 and later
    df["city"] = df["city"].astype("string[pyarrow]")         # pandas 1.5 and 2
    df["city"] = df["city"].astype("str")                     # pandas 3
    df["state"] = df["state"].astype("category")              # few distinct values
    ```

    ## When it does not fire
    A typed column would save less than `min-bytes`, or not half; the texts are the same few
    objects again and again, so that they cost next to nothing; or the column holds other objects
    than texts.
    """

    code = "MP303"
    name = "object-dtype-bloat"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield advice per frame, series or array with texts that could be typed."""
        snapshot = evidence.snapshot
        if snapshot is None:
            return
        told: set[int] = set()
        for holder in ordered(tuple(snapshot.holders)):
            texts = holder.strings
            if texts is None or holder.object in told or holder.root not in (NAMESPACE, "module"):
                continue
            told.add(holder.object)
            saved = texts.bytes - texts.typed
            if saved >= evidence.config.min_bytes and texts.bytes >= RATIO * texts.typed:
                yield self._finding(evidence, _around(snapshot, holder), holder, texts)

    def _finding(
        self, evidence: Evidence, bundle: Bundle, holder: Holder, texts: Strings
    ) -> Finding:
        saved = texts.bytes - texts.typed
        columns = "1 column" if texts.columns == 1 else f"{texts.columns} columns"
        times = texts.bytes / max(1, texts.typed)
        found = finding(
            evidence, bundle, code=self.code, name=self.name, status="advice", first=holder,
            title=f"`{holder.expr}` keeps texts as Python objects",
            why=f"{columns} of texts in `{holder.expr}` take {times:.1f} times what a typed "
            "column would take",
            fix="\n".join(_fix(holder, texts, _pandas(evidence))),
        )  # fmt: skip
        found.reclaim = Reclaim(bytes=saved, low=saved, high=saved)
        return found


def _around(snapshot: Snapshot, holder: Holder) -> Bundle:
    """Return the object's names and what they keep, though others may keep it as well."""
    names = [one for one in snapshot.holders if one.object == holder.object]
    ids = {one.id for one in names}
    own = bundle_around(snapshot, ids, lambda one, group: False)
    if own is not None:
        return own
    groups = [group for group in snapshot.groups if ids.intersection(group.holders)]
    groups.sort(key=lambda group: -group.bytes)
    shared = sum(group.bytes for group in groups)
    return Bundle(tuple(names), tuple(groups), exclusive=0, low=0, high=0, shared=shared)


def _pandas(evidence: Evidence) -> int:
    """Return the major version of pandas in the target; 0 where it is not known."""
    snapshot = evidence.snapshot
    told = snapshot.libraries.get("pandas", "") if snapshot is not None else ""
    major = told.partition(".")[0]
    return int(major) if major.isdigit() else 0


def _fix(holder: Holder, texts: Strings, pandas: int) -> Iterator[str]:
    name, kind = holder.expr, holder.type.rpartition(".")[2]
    dtype = "str" if pandas >= 3 else "string[pyarrow]"
    if kind == "Series":
        yield f'{name} = {name}.astype("{dtype}")'
    elif kind == "DataFrame" and holder.dtypes.get("object") == texts.columns:
        columns = f"{name}.select_dtypes(object).columns"
        yield f'{name} = {name}.astype(dict.fromkeys({columns}, "{dtype}"))'
    elif kind == "DataFrame":
        yield f'convert the columns of texts in `{name}`: `.astype("{dtype}")`'
    else:
        yield f"keep the texts of `{name}` in an Arrow array: `pa.array({name})`"
    if kind in ("Series", "DataFrame"):
        yield 'where a column has few distinct values: `.astype("category")`'
