"""The OpenAPI document at /openapi.json, and blueprints that parse their arguments strictly."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import flask
import marshmallow
from apispec import BasePlugin
from flask import Flask, Response
from flask_smorest import Api, Blueprint

from api.description.document import completed
from api.description.keywords import ATTRIBUTE, keywords_of
from api.description.objects import CONDITIONAL
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


def register(app: Flask, blueprints: Sequence[Blueprint], schemas: Sequence[type[marshmallow.Schema]] = ()) -> None:
    """Register the routes of these blueprints, and serve their OpenAPI document; `schemas` are those of no route.

    The first request for the document makes it, and not the start of the API: it takes seven times as long as the rest.
    """
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    served = flask.Blueprint("api-docs", __name__)

    @served.get("/openapi.json")
    def openapi_json() -> Response:
        return Response(_document(tuple(blueprints), tuple(schemas)), mimetype="application/json")

    app.register_blueprint(served)


@cache
def _document(blueprints: tuple[Blueprint, ...], schemas: tuple[type[marshmallow.Schema], ...]) -> bytes:
    """Describe the routes of these blueprints, in an application that has no others and serves no request."""
    app = Flask("webhookd", static_folder=None)
    app.config.update(API_TITLE="webhookd", API_VERSION=__version__, OPENAPI_VERSION="3.1.1")
    documented = DocumentedApi(app, spec_kwargs={"extra_plugins": [Descriptions()]})
    documented.ma_plugin.converter.add_attribute_function(_keywords)
    for schema in schemas:
        documented.spec.components.schema(schema.__name__.removesuffix("Schema"), schema=schema)
    for blueprint in blueprints:
        documented.register_blueprint(blueprint)
    return json.dumps(completed(documented.spec.to_dict(), app), indent=2).encode() + b"\n"


def _keywords(_converter: object, field: marshmallow.fields.Field[Any], **_options: object) -> Mapping[str, Any]:
    return keywords_of(field)
