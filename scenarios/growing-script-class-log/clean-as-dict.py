"""An object that writes all of its attributes at the end."""

import json


class Collector:
    """Samples of one run."""

    def __init__(self):
        self.samples = []

    def add(self, number):
        self.samples.append({"number": number, "text": f"{number} " + "x" * 300})

    def written(self):
        return json.dumps(vars(self))


collector = Collector()
for number in range(40_000):
    collector.add(number)
print(len(collector.written()))
