"""Databricks: a workspace through the official SDK, a cluster's driver through a side context.

    address        databricks:CLUSTER[/NOTEBOOK], taken apart
    workspace      the SDK's client, made from its own configuration; its errors as ours
    clusters       which cluster is meant, whether it runs, what its access mode allows
    side_context   a context of our own on the driver: code in, one answer out, always destroyed
    on_driver      what runs in it; the one file here that is sent away and imports nothing of ours
    notebooks      the driver's notebooks as rows
    line           a notebook's control channel through the side context

    compute        on which compute a job is to run
    job_source     the script or notebook with the probe around it, in one file
    stores         where files go meanwhile: workspace files, a volume, DBFS
    job_run        one run: submitted, recorded, and what was uploaded removed
    existing_job   one run of a job that is there and records itself
    following      waiting for a run's end; cancelling it
    parts          its recording as it arrives
    context_run    a notebook's cells in rounds, in a context that stays
    contrast       the two beside each other
    run_end        its output, its status and the end of its recording

The SDK is imported when it is needed and never before.
"""
