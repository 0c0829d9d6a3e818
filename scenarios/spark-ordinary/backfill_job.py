from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("backfill").getOrCreate()

for month in range(1, 7):
    month_frame = spark.range(0, 200_000, 1, 2).select(
        F.lit(month).alias("month"), (F.col("id") * (0.37 + month)).alias("amount")
    )
    month_frame.persist()
    rows = month_frame.count()
    month_frame.groupBy("month").agg(F.sum("amount")).write.mode("append").parquet("out/months")
    month_frame.unpersist()
    print(month, rows)

print(spark.read.parquet("out/months").count())
spark.stop()
