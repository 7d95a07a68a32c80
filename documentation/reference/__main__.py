"""`python -m documentation.reference`: writes every generated page (`make reference`)."""

from pathlib import Path

from documentation.reference import api_examples, endpoint_page
from documentation.reference.pages import FOLDER, PAGES


def main() -> None:
    """Write each page whose text has changed, and name it."""
    for name, text in PAGES.items():
        write(Path(FOLDER, name), text())
    write(api_examples.FILE, api_examples.examples_page())
    write(endpoint_page.FILE, endpoint_page.endpoint_page())


def write(path: Path, after: str) -> None:
    """Write this text, unless the file has it."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before != after:
        path.write_text(after, encoding="utf-8")
        print(f"written: {path.relative_to(FOLDER.parents[1])}")


if __name__ == "__main__":
    main()
