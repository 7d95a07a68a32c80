"""The resources of the API: one package per noun, with its routes and schemas."""
