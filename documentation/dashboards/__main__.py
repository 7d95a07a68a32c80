"""`python -m documentation.dashboards`: writes deploy/grafana/*.json (`make reference`)."""

from documentation.dashboards.files import DASHBOARDS, FOLDER


def main() -> None:
    """Write each dashboard."""
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / name).write_text(dashboard.text(), encoding="utf-8")


if __name__ == "__main__":
    main()
