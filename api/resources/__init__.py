"""What the API answers: one package per noun, with its routes and schemas."""
