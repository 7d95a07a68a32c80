"""The two sizes in which each plot is drawn: for a page, and for a phone."""

from dataclasses import dataclass

from webhookd_load_test.report.axis_scale import Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A size, in pixels, with the margins around the plot's own area.

    Wide ones have room for names beside the lines.
    """

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int = 26
    bottom: int = 24
    x_marks: int = 10

    @property
    def names_lines(self) -> bool:
        """Whether each line has its name at its end."""
        return self.right >= 60

    @property
    def end_x(self) -> int:
        """The right edge of the plot's area."""
        return self.width - self.right

    @property
    def floor_y(self) -> int:
        """The lower edge of the plot's area."""
        return self.height - self.bottom

    def time_scale(self, end_s: float) -> Scale:
        """The time axis: all plots of a canvas have the same."""
        return Scale(low=0.0, high=end_s, begin=self.left, end=self.end_x)


WIDE = Canvas(name="wide", width=880, height=216, left=72, right=118)
NARROW = Canvas(name="narrow", width=344, height=196, left=66, right=12, x_marks=4)
