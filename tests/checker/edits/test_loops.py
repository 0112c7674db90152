"""Loops made by hand become `asyncio.run`, and `nest_asyncio` goes."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.checker import edits

MAIN = "import asyncio\nasync def main(): pass\n"

LOOPS = [
    ("«asyncio.get_event_loop().run_until_complete(main())»", "asyncio.run(main())"),
    ("x = «asyncio.new_event_loop().run_until_complete(main())»  # c", "x = asyncio.run(main())  # c"),
    ("loop = asyncio.get_event_loop()\n«loop.run_until_complete(main())»\n", "asyncio.run(main())\n"),
    (
        "loop = «asyncio.get_event_loop()»\nloop.run_until_complete(main())\nloop.close()\n",
        "asyncio.run(main())\n",
    ),
    (
        "loop = asyncio.new_event_loop()\nasyncio.set_event_loop(loop)\n\n"
        "x = «loop.run_until_complete(main(1))».y\n",
        "\nx = asyncio.run(main(1)).y\n",
    ),
    ("loop = asyncio.get_event_loop(); «loop.run_until_complete(main())»; loop.close()", "asyncio.run(main())"),
    (
        "loop = asyncio.get_event_loop()  # the loop\n«loop.run_until_complete(main())»  # go\n",
        "# the loop\nasyncio.run(main())  # go\n",
    ),
    (
        "loop = asyncio.get_event_loop()\ntry:\n    # é\n    «loop.run_until_complete(\n        main(),\n    )»\n"
        "    done()\nfinally:\n    loop.close()\n",
        "# é\nasyncio.run(\n    main(),\n)\ndone()\n",
    ),
    (
        "def f():\n\tloop = asyncio.new_event_loop()\n\ttry:\n\t\treturn «loop.run_until_complete(main())»\n"
        "\tfinally:\n\t\tloop.run_until_complete(loop.shutdown_asyncgens())\n\t\tloop.close()\n\nf()\n",
        "def f():\n\treturn asyncio.run(main())\n\nf()\n",
    ),
    (
        "loop = asyncio.get_event_loop()\ntry:\n    «loop.run_until_complete(main())»\nexcept KeyboardInterrupt:\n"
        "    pass\nfinally:\n    loop.close()\nx = 1\n",
        "try:\n    asyncio.run(main())\nexcept KeyboardInterrupt:\n    pass\nx = 1\n",
    ),
    (
        "loop = asyncio.get_event_loop()\ntry:\n    «loop.run_until_complete(main())»\nfinally:\n"
        "    loop.close()\n    print('bye')\n",
        "try:\n    asyncio.run(main())\nfinally:\n    print('bye')\n",
    ),
    (
        "try:\n    loop = asyncio.get_event_loop()\nexcept RuntimeError:\n    loop = asyncio.new_event_loop()\n"
        "    asyncio.set_event_loop(loop)\n«loop.run_until_complete(main())»\n",
        "asyncio.run(main())\n",
    ),
    (
        "if __name__ == '__main__':\n    loop = asyncio.get_event_loop()\n    «loop.run_until_complete(main())»",
        "if __name__ == '__main__':\n    asyncio.run(main())",
    ),
    (
        "class A:\n    def f(self):\n        loop = asyncio.get_event_loop()\n"
        "        return «loop.run_until_complete(self.g())»\n    def h(self, loop):\n        loop.stop()\n",
        "class A:\n    def f(self):\n        return asyncio.run(self.g())\n"
        "    def h(self, loop):\n        loop.stop()\n",
    ),
    (
        "loop = asyncio.get_event_loop()\r\n«loop.run_until_complete(main('ü'))»\r\n",
        "asyncio.run(main('ü'))\r\n",
    ),
    ("if x: «asyncio.get_event_loop().run_until_complete(main())»", "if x: asyncio.run(main())"),
]

LOOPS_THAT_STAY = [
    "if asyncio.get_event_loop().is_running():\n    x\n«asyncio.get_event_loop().run_until_complete(main())»",
    "loop = asyncio.get_event_loop()\n«loop.run_until_complete(main())»\nloop.call_later(1, f)",
    "loop = asyncio.get_event_loop()\n«loop.run_until_complete(main())»\nloop.run_until_complete(main())",
    "loop = «asyncio.get_event_loop()»\nloop.run_until_complete(main())\nloop.run_until_complete(main())",
    "loop = asyncio.get_event_loop()\nfor x in y:\n    «loop.run_until_complete(main())»",
    "x = [«asyncio.get_event_loop().run_until_complete(main())» for x in y]",
    "loop = asyncio.get_event_loop()\ndef f():\n    return loop\n«loop.run_until_complete(main())»",
    "loop = asyncio.get_event_loop()\nclient = Client(loop=loop)\n«loop.run_until_complete(main())»",
    "loop = asyncio.get_event_loop()\nt = loop.create_task(main())\n«loop.run_until_complete(t)»",
    "«asyncio.get_event_loop().run_until_complete(asyncio.gather(main(), main()))»",
    "«asyncio.get_event_loop().run_until_complete(asyncio.ensure_future(main()))»",
    "async def f():\n    «asyncio.get_event_loop().run_until_complete(main())»",
    "def f(loop):\n    «loop.run_until_complete(main())»",
    "def f():\n    global loop\n    loop = asyncio.get_event_loop()\n    «loop.run_until_complete(main())»",
    "loop = make()\n«loop.run_until_complete(main())»",
    "self.loop = asyncio.get_event_loop()\n«self.loop.run_until_complete(main())»",
    "loop = «asyncio.get_event_loop()»\nloop.run_forever()",
    "loop = asyncio.get_event_loop()\ntry:\n    «loop.run_until_complete(main('''\n    '''))»\n"
    "finally:\n    loop.close()",
    "loop = asyncio.get_event_loop()\ntry: «loop.run_until_complete(main())»\nfinally: loop.close()",
]


@pytest.mark.parametrize(("before", "after"), LOOPS)
def test_a_loop_made_by_hand_goes(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.legacy_loop, MAIN + before) == MAIN + after
    assert rewrite.fix.safe is ("main(" in after)


@pytest.mark.parametrize("before", LOOPS_THAT_STAY)
def test_a_loop_with_another_use_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.legacy_loop, MAIN + before) is None


def test_asyncio_is_imported_where_only_its_functions_were(rewrite: Any) -> None:
    before = (
        "from asyncio import get_event_loop\nloop = get_event_loop()\n«loop.run_until_complete(server.serve())»\n"
    )
    assert rewrite(edits.legacy_loop, before) == (
        "import asyncio\nfrom asyncio import get_event_loop\nasyncio.run(server.serve())\n"
    )
    assert not rewrite.fix.safe


def test_a_loop_in_a_cell_is_for_unwrap_runner(rewrite: Any) -> None:
    cell = "# %%\nimport asyncio\n«asyncio.get_event_loop().run_until_complete(main())»"
    assert rewrite(edits.legacy_loop, cell) is None
    assert rewrite(edits.unwrap_runner, cell) == "# %%\nimport asyncio\nawait main()"


PATCHES = [
    ("import nest_asyncio\nnest_asyncio.apply()\nx = 1\n", "x = 1\n"),
    ("import a\nimport nest_asyncio\n\nnest_asyncio.apply()  # for Jupyter\n\nx = 1\n", "import a\n\nx = 1\n"),
    ("import a, nest_asyncio, b as c\nnest_asyncio.apply()\nx\n", "import a, b as c\nx\n"),
    ("from nest_asyncio import apply\napply()\nx = 1", "x = 1"),
    ("import nest_asyncio as na; na.apply(); x = 1", "x = 1"),
    ("x = 1; import nest_asyncio; nest_asyncio.apply()", "x = 1"),
    ("try:\n    import nest_asyncio\n    nest_asyncio.apply()\nexcept ImportError:\n    pass\nx\n", "x\n"),
    (
        "try:\n    import nest_asyncio\n    nest_asyncio.apply()\n    y()\nexcept ImportError:\n    pass\n",
        "try:\n    y()\nexcept ImportError:\n    pass\n",
    ),
    ("def f():\n    import nest_asyncio\n    nest_asyncio.apply()\n", "def f():\n    pass\n"),
    ("def f():\r\n\timport nest_asyncio\r\n\tnest_asyncio.apply()\r\n\tg('é')\r\n", "def f():\r\n\tg('é')\r\n"),
    ("import nest_asyncio\nif x: nest_asyncio.apply()\n", "if x: pass\n"),
    ("import nest_asyncio\nnest_asyncio.apply(loop)\nnest_asyncio.apply(\n    loop=loop\n)\ny", "y"),
    ("import nest_asyncio, asyncio\nnest_asyncio.apply(asyncio.get_event_loop())\ny", "import asyncio\ny"),
    ("import nest_asyncio\nx = 1\n", "x = 1\n"),
    ("# %%\nimport nest_asyncio\nnest_asyncio.apply()# %%\nx", "# %%\n# %%\nx"),
    (
        "# %%\n!pip install nest_asyncio\nimport nest_asyncio\nx# %%\nnest_asyncio.apply()",
        "# %%\n!pip install nest_asyncio\nx# %%\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), PATCHES)
def test_nest_asyncio_goes(rewrite: Any, before: str, after: str) -> None:
    def remove(code: edits.Code, _: Any) -> Any:
        return edits.remove_nest_asyncio(code)

    assert rewrite(remove, before) == after
    assert not rewrite.fix.safe


@pytest.mark.parametrize(
    "before",
    [
        "x = 1",
        "import nest_asyncio\nx = nest_asyncio.apply()",
        "import nest_asyncio\nf(nest_asyncio)",
        "import nest_asyncio\nnest_asyncio.apply(make())",
        "import nest_asyncio\nnest_asyncio._patch_loop(x)",
        "nest_asyncio.apply()",
    ],
)
def test_another_use_of_nest_asyncio_stays(rewrite: Any, before: str) -> None:
    assert rewrite(lambda code, _: edits.remove_nest_asyncio(code), before) is None
