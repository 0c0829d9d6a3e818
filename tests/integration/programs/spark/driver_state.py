"""What a program can see of its Spark application, and what a visitor must leave as it was."""

from __future__ import annotations

import gc
from typing import Any


def seen(spark: Any) -> dict[str, Any]:
    """Return the state of the driver as plain values. It starts no job."""
    from py4j.finalizer import ThreadSafeFinalizer

    gc.collect()
    python_objects = len(ThreadSafeFinalizer.finalizers)
    context = spark.sparkContext
    jvm, scala = context._jvm, context._jsc.sc()
    tracker = context.statusTracker()
    no_quantiles = context._gateway.new_array(jvm.double, 0)
    return {
        "python_objects": python_objects,
        "properties": sorted(str(scala.getLocalProperties().toString()).strip("{}").split(", ")),
        "log_level": jvm.org.apache.logging.log4j.LogManager.getRootLogger().getLevel().toString(),
        "jobs_of_group": sorted(tracker.getJobIdsForGroup("mine")),
        "jobs_of_none": sorted(tracker.getJobIdsForGroup(None)),
        "active_jobs": list(tracker.getActiveJobsIds()),
        "active_stages": list(tracker.getActiveStageIds()),
        "jobs": scala.dagScheduler().numTotalJobs(),
        "jobs_shown": scala.statusStore().jobsList(None).size(),
        "stages_shown": scala.statusStore()
        .stageList(None, False, False, no_quantiles, None)
        .size(),
        "queries": spark._jsparkSession.sharedState().statusStore().executionsCount(),
        "listeners": scala.listenerBus().listeners().size(),
        "persistent": scala.persistentRdds().size(),
        "settings": sorted(f"{key}={value}" for key, value in context.getConf().getAll()),
        "session_settings": str(spark._jsparkSession.conf().getAll()),
    }


def bindings(context: Any) -> int:
    """Return how many objects the JVM keeps for Python; py4j lets go of some a second later."""
    gc.collect()
    return int(context._gateway.java_gateway_server.getGateway().getBindings().size())
