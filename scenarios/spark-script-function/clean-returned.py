from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def load(spark):
    visits = spark.range(0, 1_500_000, 1, 2).select(
        (F.col("id") / 9).alias("minutes"), F.xxhash64("id").alias("visitor")
    )
    visits.cache().count()
    return visits


def means(visits):
    for name in ("minutes", "visitor"):
        print(name, visits.agg(F.avg(name)).first()[0])


def main():
    spark = SparkSession.builder.appName("nightly").getOrCreate()
    visits = load(spark)
    means(visits)
    print(visits.filter("minutes > 1000").count())
    return spark, visits


kept = main()
print(kept[1].agg(F.max("minutes")).first()[0])
