"""The OpenAPI document at /openapi.json, and blueprints that parse their arguments strictly."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import marshmallow
from apispec import BasePlugin
from flask import Flask, Response
from flask_smorest import Api, Blueprint
from werkzeug.exceptions import HTTPException

from api.description.document import completed
from api.description.keywords import ATTRIBUTE, keywords_of
from api.description.objects import CONDITIONAL
from api.extensions import error_responses
from api.extensions.query_parameters import PARAMETERS
from api.extensions.request_body import StrictParser
from api.extensions.request_schema import RequestSchema, query_names
from webhookd import __version__


class FieldErrorSchema(marshmallow.Schema):
    """A value and what is wrong with it; one of `pointer`, `parameter` and `header` says where it was sent."""

    field = marshmallow.fields.String(
        metadata={"description": "Path of the field, or the name; empty for the document as a whole."}
    )
    pointer = marshmallow.fields.String(
        metadata={"description": "A field of the body: its JSON pointer (RFC 6901).", CONDITIONAL: True}
    )
    parameter = marshmallow.fields.String(
        metadata={"description": "A parameter of the query: its name.", CONDITIONAL: True}
    )
    header = marshmallow.fields.String(
        metadata={"description": "A header of the request: its name.", CONDITIONAL: True}
    )
    reason = marshmallow.fields.String(metadata={"description": "What is wrong with it."})


class ErrorSchema(marshmallow.Schema):
    """The body of every error response: a problem document (RFC 9457), sent as `application/problem+json`."""

    type = marshmallow.fields.String(
        metadata={
            "description": "The path of this API's page about the code.",
            "example": "/problems/invalid_input",
        }
    )
    title = marshmallow.fields.String(metadata={"description": "What the code means; the same text each time."})
    code = marshmallow.fields.String(
        metadata={"description": "The error code, for programs.", "example": "invalid_input"}
    )
    status = marshmallow.fields.Integer(metadata={"description": "The HTTP status.", "example": 422})
    detail = marshmallow.fields.String(metadata={"description": "This error, for people."})
    instance = marshmallow.fields.String(
        metadata={"description": "Only with status 500: the id under which the log has the cause.", CONDITIONAL: True}
    )
    errors = marshmallow.fields.List(
        marshmallow.fields.Nested(FieldErrorSchema),
        metadata={"description": "The fields that are wrong; empty when no field is the cause."},
    )


class Descriptions(BasePlugin):
    """Describes each schema in the document by the docstring of its class."""

    def schema_helper(self, name: str, definition: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002  # apispec's own signature
        """The description to add, and the keywords that the schema declares."""
        schema = kwargs.get("schema")
        return {"description": inspect.getdoc(schema), **getattr(schema, ATTRIBUTE, {})} if schema else {}


View = Callable[..., Any]


class StrictBlueprint(Blueprint):
    """A blueprint that parses bodies strictly, and notes the query parameters of each view."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(
        self,
        schema: type[RequestSchema],
        *,
        location: str = "json",
        **options: Any,  # noqa: ANN401  # flask-smorest's own signature
    ) -> Callable[[View], View]:
        """Parse the body, or the query, with this schema."""
        parsing = super().arguments(schema, location=location, **options)

        def decorated(view: View) -> View:
            parsed: View = parsing(view)
            if location == "query":
                setattr(parsed, PARAMETERS, query_names(schema))
            return parsed

        return decorated


class DocumentedApi(Api):
    """flask-smorest with the API's own error format."""

    ERROR_SCHEMA = ErrorSchema

    _body = b""

    def describe(self, app: Flask) -> None:
        """Make the document of all routes that this application has now."""
        self._body = json.dumps(completed(self.spec.to_dict(), app), indent=2).encode() + b"\n"

    def _openapi_json(self) -> Response:
        """Return the document."""
        return Response(self._body, mimetype="application/json")

    def _register_error_handlers(self) -> None:
        """Register no handlers: `error_responses` handles all errors."""

    def handle_http_exception(self, error: HTTPException) -> object:
        """Return the error in the API's format, if flask-smorest calls this method."""
        return error_responses.response(error_responses.from_http_error(error))


def register(app: Flask, *others: type[marshmallow.Schema]) -> DocumentedApi:
    """Serve the OpenAPI document of this application, which `describe` makes; `others` are schemas of no route."""
    app.config.update(
        API_TITLE="webhookd",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.1",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        ETAG_DISABLED=True,
    )
    documented = DocumentedApi(app, spec_kwargs={"extra_plugins": [Descriptions()]})
    documented.ma_plugin.converter.add_attribute_function(_keywords)
    for schema in others:
        documented.spec.components.schema(schema.__name__.removesuffix("Schema"), schema=schema)
    return documented


def _keywords(_converter: object, field: marshmallow.fields.Field[Any], **_options: object) -> Mapping[str, Any]:
    return keywords_of(field)
