"""The limit of open files, which the service's processes raise at their start."""

import resource
from collections.abc import Iterator

import pytest

from command.open_files import MAX_OPEN_FILES, raise_open_file_limit

SCARCE = 512


@pytest.fixture
def hard_limit() -> Iterator[int]:
    """Set a soft limit far below the hard one; yields the hard limit, and restores both afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SCARCE, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_process_may_open_all_files_it_can(hard_limit: int) -> None:
    raise_open_file_limit()
    most = MAX_OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(hard_limit, MAX_OPEN_FILES)
    assert most > SCARCE
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard_limit)


def test_half_is_tried_where_the_system_refuses(hard_limit: int) -> None:
    refused: list[int] = []
    most = hard_limit if hard_limit != resource.RLIM_INFINITY and hard_limit < MAX_OPEN_FILES else MAX_OPEN_FILES

    def set_limit(resource_id: int, limits: tuple[int, int]) -> None:
        if limits[0] > most // 4:
            refused.append(limits[0])
            raise ValueError("current limit exceeds maximum limit")
        resource.setrlimit(resource_id, limits)

    raise_open_file_limit(set_limit)
    assert refused == [most, most // 2]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most // 4, hard_limit)
