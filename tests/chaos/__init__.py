"""The proof of the promise: real processes, real services, one fault after another.

A scenario is a load, a fault and the assertions (findings.py): nothing lost, order per partition kept, duplicates no
more than what was in flight at each fault, committed offsets monotonic and in the end the end offsets, and every lane
flows again within a bound. All chance comes from the seed and the scenario's name.

    make chaos [SEED=n]                    every scenario on one stack: three brokers, a Redis, a Postgres
    make chaos-soak [SECONDS=n] [SEED=n]   all faults mixed
    make test                              the few scenarios marked `chaos_quick`, on the ordinary stack
"""
