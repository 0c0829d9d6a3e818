from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def main():
    spark = SparkSession.builder.appName("features").getOrCreate()
    readings = spark.range(0, 400_000, 1, 2).select((F.col("id") * 0.37).alias("value"))
    readings = readings.withColumn("lag", F.col("value") * 1.5).cache()
    print(readings.count())
    readings.agg(F.avg("lag"), F.max("value")).show()
    spark.stop()


if __name__ == "__main__":
    main()
