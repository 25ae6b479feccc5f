"""YAML as people write settings: plain values, without what makes a small file a large one."""

from typing import Any

import yaml

LONGEST, DEEPEST = 100_000, 20
"""Characters, and lists or tables within each other; settings have some thousands and three."""


def read_yaml(text: str) -> Any:
    """The values that a text holds; None where it is empty.

    Raises:
        ValueError: it is not YAML, or larger or deeper than settings are, or repeats a list or table by an alias: what
            is wrong, in one line.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} characters")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        place = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


class _Loader(yaml.SafeLoader):
    """Safe, and refuses aliases and depth as it meets them."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if not isinstance(self.anchors.get(event.anchor), yaml.ScalarNode | None):
                raise yaml.MarkedYAMLError(
                    problem=f"the alias *{event.anchor} repeats a list or table: write it out",
                    problem_mark=event.start_mark,
                )
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            problem = f"more than {DEEPEST} lists or tables lie within each other"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node
