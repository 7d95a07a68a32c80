"""The OpenAPI document of the API: what its schemas, routes and validators say, and examples that were run."""
