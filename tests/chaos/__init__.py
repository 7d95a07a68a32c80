"""The chaos tests: they check the delivery guarantees with real processes and services, one fault after another.

A scenario is a load, a fault and the checks (findings.py): no record lost, order per partition kept, no more duplicates
than records in flight at the fault, committed offsets never go backwards and at last equal the end offsets, and every
lane delivers again within a bound. All random choices come from the seed and the scenario's name.

    make chaos [SEED=n]                    every scenario on one stack: three brokers, a Redis, a Postgres
    make chaos-soak [SECONDS=n] [SEED=n]   all faults in random combinations
    make test                              the few scenarios marked `chaos_quick`, on the ordinary stack
"""
