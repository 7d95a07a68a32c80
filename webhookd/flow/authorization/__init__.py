"""Authorization: what a tenant sees of each record, decided from the policies of the record's topic.

| module | what it does |
|---|---|
| `topic_matcher` | The interface for ingest: the matcher of a topic, with or without policies |
| `shared_matching` | The policies and filters of many subscriptions for one topic, decided together |
| `record_view` | A Kafka message as the tenant sees it |
| `authorizer` | Decides about a record: which policy allows or denies it, and what is seen |
| `conditions`, `compiled` | Compile expressions of policies and decode what the conditions read |
| `seen_record` | The parts of a record that a policy can hide |
| `record_source` | Reads the key and the headers of a record in expressions |
| `projection` | Compiles a projection |
| `projection_paths` | Parses the paths of a projection |
| `path_projection` | Keeps or cuts the parts of a value that paths name |
| `json_values`, `raw_scanning` | Hold a JSON value of which parts can be kept or cut; refuse duplicate names |
| `expression_projection` | Builds what is seen with an expression |
| `exact_values` | Decodes and writes JSON for expressions, so that numbers keep their digits |
| `validation` | Checks a policy that an operator writes |
| `sample` | Shows sampled records as the tenant sees them |
"""
