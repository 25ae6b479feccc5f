import pytest

from mmccd.system.yaml_text import DEEPEST, LONGEST, read_yaml


def test_plain_values_and_an_alias_of_one_are_read():
    assert read_yaml("seed: &s 3\ntraining: {steps: *s, flip: true}\n") == {
        "seed": 3,
        "training": {"steps": 3, "flip": True},
    }
    assert read_yaml("") is None


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, r"the alias \*a repeats a list or table: write it out \(line 2\)"),
        (MERGED, r"the alias \*a repeats"),
        ("a: &a {b: *a}", r"the alias \*a repeats"),
        ("a: *b", "found undefined alias"),
        ("a: " + "[" * 5000, f"more than {DEEPEST} lists or tables lie within each other"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(400)), f"more than {DEEPEST} lists"),
        ("#" * (LONGEST + 1), "more than 100,000 characters"),
        ("a: " + "9" * 5000, "4300 digits"),
        ("a: 2001-99-99", "month must be in"),
        ("a: \x00", "unacceptable character"),
        ("? {a: b}\n: 3", "unhashable"),
        ("a: !!python/object/apply:os.system [echo]", "could not determine a constructor"),
        ("a: [1, 2", r"expected ',' or ']'.*\(line 1\)"),
    ],
)
def test_what_settings_never_are_is_refused_in_one_line(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        read_yaml(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250
