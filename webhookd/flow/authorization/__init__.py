"""Authorization: what a tenant sees of each record, decided from the policies of the record's topic.

| module | what it does |
|---|---|
| `topic_matcher` | The interface for ingest: the matcher of a topic, with or without policies |
| `record_view` | A Kafka message as the tenant sees it |
| `authorizer` | Decides about a record: which policy allows or denies it, and what is seen |
| `conditions` | Compiles the conditions and decodes what they read |
| `record_source` | Reads the key and the headers of a record in expressions |
| `projection` | Compiles a projection |
| `projection_paths` | Parses the paths of a projection |
| `raw_values` | Keeps or cuts members of a JSON value without a change to the others |
| `exact_values` | Decodes and writes JSON for expressions, so that numbers keep their digits |
| `duplicate_names` | Refuses records in which an object has the same name twice |
| `validation` | Checks a policy that an operator writes |
| `sample` | Shows sampled records as the tenant sees them |
"""
