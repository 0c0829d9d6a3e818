from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("features").getOrCreate()
readings = spark.range(0, 400_000, 1, 2).select((F.col("id") * 0.37).alias("value"))
for lag in range(5):
    readings = readings.withColumn(f"lag_{lag}", F.col("value") * (lag + 1.5)).cache()
    print(lag, readings.count())
for name in ("lag_4", "lag_3", "value"):
    readings.agg(F.avg(name), F.max(name)).show()
