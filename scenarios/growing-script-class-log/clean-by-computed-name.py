"""Two tables that grow by name and are read by names that the code computes."""


class Tables:
    """What one run collected."""

    def __init__(self):
        self.orders = []
        self.items = []


tables = Tables()
for number in range(40_000):
    tables.orders.append(("order", number, f"{number} " + "x" * 300))
    tables.items.append(("item", number, f"{number} " + "y" * 300))

for name in ("orders", "items"):
    rows = getattr(tables, name)
    print(name, sum(len(text) for _, _, text in rows))
