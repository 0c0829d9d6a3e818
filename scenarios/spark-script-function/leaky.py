from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def summary(spark):
    visits = spark.range(0, 1_500_000, 1, 2).select(
        (F.col("id") / 9).alias("minutes"), F.xxhash64("id").alias("visitor")
    )
    visits.cache()
    return visits.count(), visits.agg(F.avg("minutes")).first()[0]


def names(spark):
    shops = spark.range(0, 1000, 1, 2).select(
        "id", F.concat(F.lit("shop "), F.col("id")).alias("name")
    )
    return [row.name for row in shops.filter("id < 3").collect()]


def main():
    spark = SparkSession.builder.appName("nightly").getOrCreate()
    found = summary(spark)
    for _ in range(3):
        print(names(spark))
    print(found)
    return spark


spark = main()
