"""A report that collects its rows and is written as a whole: no line reads the rows by name."""

import dataclasses
import io
import pickle


@dataclasses.dataclass
class Report:
    """Rows as they came."""

    rows: list = dataclasses.field(default_factory=list)

    def add(self, number):
        self.rows.append({"number": number, "text": f"{number} " + "x" * 400})


report = Report()
for number in range(40_000):
    report.add(number)

with io.BytesIO() as file:
    pickle.dump(report, file)
    print(file.tell(), "bytes written")
