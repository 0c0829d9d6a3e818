import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def extract(spark):
    return spark.range(0, 600_000, 1, 2).select(
        (F.col("id") % 300).alias("shop"),
        (F.col("id") * 0.37).alias("amount"),
        F.xxhash64("id").alias("ticket"),
    )


def transform(sales):
    large = sales.filter("amount > 10").cache()
    shops = large.groupBy("shop").agg(
        F.sum("amount").alias("amount"), F.count("*").alias("tickets")
    )
    return large, shops


def load(large, shops):
    shops.write.mode("overwrite").parquet("out/shops")
    large.agg(F.max("amount").alias("most")).write.mode("overwrite").json("out/most")
    large.unpersist()


def main():
    spark = SparkSession.builder.appName("nightly").getOrCreate()
    try:
        load(*transform(extract(spark)))
        print(spark.read.parquet("out/shops").count())
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
