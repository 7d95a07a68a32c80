"""Writes the Grafana dashboards of deploy/grafana."""
