"""A job as it runs every night: filter, join, group, aggregate, write; prints its results' hash."""

import hashlib
import shutil
import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

ROWS = 1_000_000
ROUNDS = 3


def orders(spark):
    return spark.range(0, ROWS, 1, 4).select(
        F.col("id").alias("order"),
        (F.xxhash64("id") % 40_000).alias("customer"),
        (F.col("id") % 365).alias("day"),
        ((F.col("id") * 37) % 10_007 / 100).alias("amount"),
    )


def customers(spark):
    return spark.range(-40_000, 40_000, 1, 2).select(
        F.col("id").alias("customer"), (F.col("id") % 25).alias("country")
    )


def per_country(spark, number):
    valid = orders(spark).filter(F.col("amount") > number)
    joined = valid.join(customers(spark).hint("merge"), "customer")
    return joined.groupBy("country", "day").agg(
        F.count("order").alias("orders"),
        F.sum(F.col("amount").cast("decimal(18,2)")).alias("amount"),
        F.max("order").alias("last"),
    )


def main():
    spark = SparkSession.builder.appName("nightly").getOrCreate()
    folder = tempfile.mkdtemp(prefix="spark-job-")
    found = hashlib.sha256()
    try:
        for number in range(ROUNDS):
            path = f"{folder}/{number}"
            per_country(spark, number).write.parquet(path)
            rows = spark.read.parquet(path).orderBy("country", "day").collect()
            found.update(repr([tuple(row) for row in rows]).encode())
    finally:
        spark.stop()
        shutil.rmtree(folder)
    print(found.hexdigest())


if __name__ == "__main__":
    main()
