"""Says what the driver and a Python worker find of their surroundings, and ends with 7."""

import json
import os
import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import udf


def surroundings(_: object) -> str:
    return json.dumps(
        {
            "modules": sorted(name for name in sys.modules if "memprobe" in name),
            "variables": {
                name: value
                for name, value in os.environ.items()
                if "memprobe" in name.lower() + value.lower()
            },
            "paths": [path for path in sys.path if "memprobe" in path],
            "pid": os.getpid(),
        }
    )


spark = SparkSession.builder.getOrCreate()
kept_by_the_driver = [bytearray(1000) for _ in range(30_000)]
rows = spark.range(2).select(udf(surroundings)("id").alias("it")).collect()
print(surroundings(None))
print(rows[0].it)
print(spark.range(1000).selectExpr("sum(id)").first()[0])
spark.stop()
sys.exit(7)
