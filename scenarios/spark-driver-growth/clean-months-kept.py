import time
from functools import reduce

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("months").getOrCreate()

# Each month is cached and used by the report at the end: what the driver stores grows all the time.
begin, months = time.monotonic(), []
while time.monotonic() < begin + 20 and len(months) < 60:
    number = len(months)
    month = spark.range(0, 1_000_000, 1, 2).select(
        F.lit(number).alias("month"), (F.col("id") * 0.37 + number).alias("amount")
    )
    months.append(month.cache())
    month.count()
    time.sleep(max(0.0, begin + number / 3 - time.monotonic()))

year = reduce(lambda one, other: one.union(other), months)
print(year.groupBy("month").agg(F.sum("amount")).count() == len(months))
for month in months:
    month.unpersist()
spark.stop()
