"""Extensions of Flask: error responses, the OpenAPI document, and strict request bodies."""
