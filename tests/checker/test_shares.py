"""Which files are checked together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnlane.checker import shares
from turnlane.checker.shares import LARGEST, SHARE, SPARED, Look, Sized, divide


def sized(path: str, *links: str, size: int = 1000, matters: bool = True) -> Sized:
    return Sized(path, size, Look(links, matters))


def straight(link: str, _importer: str) -> str | None:
    return link


def test_small_programs_share() -> None:
    assert divide([sized("a.py"), sized("b.py", "c.py"), sized("c.py")], straight) == [["a.py", "b.py", "c.py"]]


def test_what_hangs_together_is_never_parted() -> None:
    half = SHARE // 2 + 1
    files = [sized("a.py", "z.py", size=half), sized("m.py", size=half), sized("z.py", size=half)]

    assert divide(files, straight) == [["a.py", "z.py"], ["m.py"]]


def test_a_program_in_which_nothing_matters_is_left_out_of_a_large_tree() -> None:
    files = [
        sized("a.py", "b.py", matters=False),
        sized("b.py", matters=False),
        sized("c.py", "d.py", matters=False),
        sized("d.py"),
    ]
    ballast = [sized("x.py", size=SPARED, matters=False)]

    assert divide(files, straight) == [["a.py", "b.py", "c.py", "d.py"]]
    assert divide([*files, *ballast], straight) == [["c.py", "d.py"]]


def test_links_out_of_the_tree_lead_nowhere() -> None:
    assert divide([sized("a.py", "json")], lambda link, importer: None) == [["a.py"]]
    assert divide([sized("a.py", "gone.py")], straight) == [["a.py"]]


def test_a_program_too_large_is_divided_by_folders() -> None:
    files = [sized(f"{folder}/{n}.py", "a/0.py", size=LARGEST // 6) for folder in "ab" for n in range(4)]

    parts = divide(files, straight)

    assert [path for part in parts for path in part] == sorted(file.path for file in files)
    assert all(len(part) * (LARGEST // 6) <= LARGEST // 2 for part in parts)


def test_a_language_without_links_is_one_program() -> None:
    assert divide([sized("b.ts"), sized("a.ts")], None) == [["a.ts", "b.ts"]]
    assert divide([], None) == []


names = st.sampled_from([f"{folder}/{name}.py" for folder in "ab" for name in "uvwxyz"])


@given(
    st.dictionaries(
        names, st.tuples(st.lists(names, max_size=3), st.booleans(), st.integers(0, SHARE)), max_size=12
    )
)
def test_every_program_that_matters_is_in_exactly_one_share(
    files: dict[str, tuple[list[str], bool, int]],
) -> None:
    given_files = [
        sized(path, *links, size=size, matters=matters) for path, (links, matters, size) in files.items()
    ]

    parts = divide(given_files, straight)

    placed = {path: number for number, part in enumerate(parts) for path in part}
    assert sum(map(len, parts)) == len(placed)
    assert placed.keys() <= files.keys()
    for file in given_files:
        for link in file.look.links:
            if link in files:
                assert placed.get(file.path) == placed.get(link)
        if file.look.matters:
            assert file.path in placed


def test_the_limits_fit_each_other() -> None:
    assert shares.SHARE < shares.SPARED < shares.LARGEST
