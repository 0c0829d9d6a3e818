import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("loop").getOrCreate()
names = [f"c{number}" for number in range(30)]
base = spark.range(5).select(*[F.lit(1.5).alias(name) for name in names])

# The same work for twenty seconds; its frames go with each turn.
until, turns = time.monotonic() + 20, 0
while time.monotonic() < until:
    frames = [base.toDF(*[f"{name}_{part}" for name in names]) for part in range(40)]
    turns += frames[-1].count()
    del frames

print(turns > 0)
spark.stop()
