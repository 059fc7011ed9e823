"""Names of pictures: two kinds, any other refused by name."""

from pathlib import Path

import pytest

from ciyuan.basics.errors import Malformed
from ciyuan.services.pictures import check_picture


def test_the_two_kinds_of_pictures_pass():
    check_picture(Path("margin.svg"))
    check_picture(Path("some.folder/margin.png"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("margin.pdf", ".pdf"),
        ("margin", "no suffix"),
        ("some.svg/margin", "no suffix"),
        (".svg", "no suffix"),
    ],
)
def test_any_other_name_is_refused(name: str, found: str):
    with pytest.raises(Malformed, match=rf"found '{found}', expected \.svg or \.png"):
        check_picture(Path(name))
