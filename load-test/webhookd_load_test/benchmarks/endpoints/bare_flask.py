"""A Flask route that does nothing, for gunicorn: what a request costs without webhookd."""

from flask import Flask, Response, jsonify

app = Flask("bare")


@app.get("/")
def answer() -> Response:
    """Return a short JSON document."""
    return jsonify({"status": "ok"})
