"""What a module does at import: an object made once becomes a factory, a run goes under a guard."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.checker import edits
from turnlane.checker.finding import Place


def factory(code: edits.Code, *handlers: Place) -> Any:
    return edits.factory_for_module_object(code, "agent", handlers, {"other"})


OBJECTS = [
    (
        "agent = A('é')\n\n\n@app.get('/')\n«async def f():\n    return await agent.run()»\n",
        "def make_agent():\n    return A('é')\n\n\n@app.get('/')\nasync def f():\n"
        "    agent = make_agent()\n    return await agent.run()\n",
    ),
    (
        "client = C()\nagent = A(client)  # one\napp = F()\n«@app.get('/')\ndef f():\n\t'''Doc.'''\n"
        "\tagent.run()»\n",
        "client = C()\n\n\ndef make_agent():\n\treturn A(client)  # one\n\n\napp = F()\n@app.get('/')\ndef f():\n"
        "\t'''Doc.'''\n\tagent = make_agent()\n\tagent.run()\n",
    ),
    (
        "agent = A(\n    name='a',\n\n    text='''x\ny''',  # why\n)\n\n«def f():\n    # é\n    agent.run()»",
        "def make_agent():\n    return A(\n        name='a',\n\n        text='''x\ny''',  # why\n    )\n\n"
        "def f():\n    # é\n    agent = make_agent()\n    agent.run()",
    ),
    (
        "agent: A = A()\n\n«def f():\n    agent.run()»\n\n«def g():\n    for x in y: agent.run()»\n",
        "def make_agent() -> A:\n    return A()\n\ndef f():\n    agent = make_agent()\n    agent.run()\n\n"
        "def g():\n    agent = make_agent()\n    for x in y: agent.run()\n",
    ),
    (
        "def create_app():\n    «def f():\n        with x: agent.run()»\n    return f\n\nagent = m.A(t=[1])\n",
        "def create_app():\n    def f():\n        agent = make_agent()\n        with x: agent.run()\n    return f"
        "\n\n"
        "def make_agent():\n    return m.A(t=[1])\n",
    ),
    (
        "agent = A()\r\n\r\n«def f():\r\n    g = lambda: agent.run()\r\n    return g»\r\n",
        "def make_agent():\r\n    return A()\r\n\r\ndef f():\r\n    agent = make_agent()\r\n"
        "    g = lambda: agent.run()\r\n    return g\r\n",
    ),
    (
        "# %%\nx = 1\nagent = A()# %%\n«def f():\n    return agent.run()»",
        "# %%\nx = 1\n\n\ndef make_agent():\n    return A()# %%\n"
        "def f():\n    agent = make_agent()\n    return agent.run()",
    ),
    (
        "class H:\n    «def f(self):\n        return agent.run()»\nagent = A()",
        "class H:\n    def f(self):\n        agent = make_agent()\n        return agent.run()\n\n\n"
        "def make_agent():\n    return A()",
    ),
]

OBJECTS_THAT_STAY = [
    "agent = A()\n«def f():\n    agent.run()»\nagent.run()",
    "agent = A()\n«def f():\n    agent.run()»\ndef g():\n    agent.run()",
    "agent = A()\nteam = T([agent])\n«def f():\n    agent.run()»",
    "agent = A(other)\n«def f():\n    agent.run()»",
    "agent = A()\nagent = A()\n«def f():\n    agent.run()»",
    "agent = A()\n«def f():\n    global agent\n    agent.run()»",
    "agent = A()\n«def f(agent):\n    agent.run()»",
    "agent = A()\n«def f(): agent.run()»",
    "agent = A()\n@use(agent)\n«def f():\n    agent.run()»",
    "agent = A()\n«def f(a=agent):\n    agent.run()»",
    "agent = a\n«def f():\n    agent.run()»",
    "agent, b = A(), B()\n«def f():\n    agent.run()»",
    "if x:\n    agent = A()\n«def f():\n    agent.run()»",
    "agent = A(); b = 1\n«def f():\n    agent.run()»",
    "b = 1; agent = A()\n«def f():\n    agent.run()»",
    "agent = A((b := 1))\n«def f():\n    agent.run()»",
    "agent = A()\ndef make_agent(): pass\n«def f():\n    agent.run()»",
    "__all__ = ['agent']\nagent = A()\n«def f():\n    agent.run()»",
    "agent = A()\nf = «lambda: agent.run()»",
    "agent = A()\n«def f():\n    @agent.on\n    def g(): pass»",
    "# %%\nagent = await A()# %%\n«def f():\n    agent.run()»",
    "agent = (A())\n«def f():\n    agent.run()»",
]


@pytest.mark.parametrize(("before", "after"), OBJECTS)
def test_an_object_of_the_module_becomes_a_factory(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(factory, before) == after
    assert not rewrite.fix.safe


@pytest.mark.parametrize("before", OBJECTS_THAT_STAY)
def test_an_object_with_another_use_stays(rewrite: Any, before: str) -> None:
    assert rewrite(factory, before) is None


RUNS = [
    ("«asyncio.run(main())»", 'if __name__ == "__main__":\n    asyncio.run(main())'),
    (
        "x = 1\n\n«asyncio.run(main())»  # go\n",
        'x = 1\n\nif __name__ == "__main__":\n    asyncio.run(main())  # go\n',
    ),
    (
        "def f():\n  pass\n«asyncio.run(\n  main(),\n)»\n\n# done\nprint('é')\n",
        'def f():\n  pass\nif __name__ == "__main__":\n  asyncio.run(\n    main(),\n  )\n\n'
        "  # done\n  print('é')\n",
    ),
    (
        "r = «run('''a\n  b\n''')»\nprint(r)\n",
        "if __name__ == \"__main__\":\n    r = run('''a\n  b\n''')\n    print(r)\n",
    ),
    (
        "def f():\n\tpass\n\n\n«asyncio.run(f'''{a}\n{b}''')»; print()\n",
        "def f():\n\tpass\n\n\nif __name__ == \"__main__\":\n\tasyncio.run(f'''{a}\n{b}'''); print()\n",
    ),
    ("x\r\n«run()»\r\ny()\r\n", 'x\r\nif __name__ == "__main__":\r\n    run()\r\n    y()\r\n'),
    ("«run(1, \\\n  2)»\n# end\n", 'if __name__ == "__main__":\n    run(1, \\\n      2)\n# end\n'),
    ("print(«run()», 'a'\n      'b')", "if __name__ == \"__main__\":\n    print(run(), 'a'\n          'b')"),
]


@pytest.mark.parametrize(("before", "after"), RUNS)
def test_a_run_at_import_goes_under_a_guard(rewrite: Any, before: str, after: str) -> None:
    def guard(code: edits.Code, place: Place) -> Any:
        return edits.main_guard(code, place)

    assert rewrite(guard, before) == after


@pytest.mark.parametrize(
    "before",
    [
        "«run()»\ndef f(): pass",
        "«run()»\nimport x",
        "x = 1; «run()»",
        "def f():\n    return result\nresult = «run()»",
        "def f():\n    «run()»",
        "if x:\n    «run()»",
        'if __name__ == "__main__":\n    «run()»',
        "# %%\n«run()»",
        "for x in y: «run()»",
    ],
)
def test_a_run_that_can_not_move_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.main_guard, before) is None
