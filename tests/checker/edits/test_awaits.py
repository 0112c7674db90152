"""What awaits: inserted, instead of a runner, by the async twin, in place of a sleep, of a dropped task."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.checker import edits, fixing
from turnlane.checker.finding import Finding, Place
from turnlane.checker.source import Source

IN = "async def f(a):\n    "

AWAITS = [
    ("«a.run()»", "await a.run()"),
    ("x = «a.run()»  # why", "x = await a.run()  # why"),
    ("return «a.run()»", "return await a.run()"),
    ("return(«a.run()»)", "return(await a.run())"),
    ("«a.run()».messages", "(await a.run()).messages"),
    ("x = («a.run()»).messages", "x = (await a.run()).messages"),
    ("x = ( «a.run()» )[0]", "x = ( await a.run() )[0]"),
    ("x = «a.run()»[-1].content", "x = (await a.run())[-1].content"),
    ("«a.make()»()", "(await a.make())()"),
    ("x = 2 ** «a.run()» ** 2", "x = 2 ** await a.run() ** 2"),
    ("x = -«a.run()», not «a.run()»", "x = -await a.run(), not «a.run()»"),
    ("print('é', «a.run()», *b)", "print('é', await a.run(), *b)"),
    ("g(k=«a.run(\n        task=1,  # c\n    )»)", "g(k=await a.run(\n        task=1,  # c\n    ))"),
    ("if a: «a.run()»", "if a: await a.run()"),
    ("b(); «a.run()»; c()", "b(); await a.run(); c()"),
    ("x = [«a.run(i)» for i in b]", "x = [await a.run(i) for i in b]"),
    ("async with b as c:\n    \t\t«c.run()»", "async with b as c:\n    \t\tawait c.run()"),
    ("for x in «a.run()»:\n        pass", "for x in await a.run():\n        pass"),
    ("with «a.run()» as b: pass", "with await a.run() as b: pass"),
    ("x = y if «a.run()» else z", "x = y if await a.run() else z"),
    ("x = (y := «a.run()»)", "x = (y := await a.run())"),
    ("def g(b=«a.run()»): pass", "def g(b=await a.run()): pass"),
    ("@«a.run()»\n    def g(): pass", "@await a.run()\n    def g(): pass"),
    ("return (\n        «a\n        .run()»\n    )", "return (\n        await a\n        .run()\n    )"),
]

NOT_AWAITED = [
    "def f(a):\n    «a.run()»",
    "«a.run()»",
    IN + "await «a.run()»",
    IN + "x = lambda: «a.run()»",
    IN + "x = (a for a in «a.run()»)",
    IN + "def g():\n        «a.run()»",
    IN + "class B:\n        x = «a.run()»",
    IN + "x = f'{«a.run()»}'",
    IN + "t = create_task(«a.run()»)",
    IN + "t = asyncio.ensure_future(«a.run()»)",
    "class A:\n    async def f(self, x=«a.run()»): pass",
    "@«a.run()»\nasync def f(): pass",
    IN + "«a.run»",
]

IN_CELLS = [
    ("# %%\nx = 1# %%\n%matplotlib inline\n«a.run()»", "# %%\nx = 1# %%\n%matplotlib inline\nawait a.run()"),
    ("# %%\n%time x = «a.run()»", "# %%\n%time x = await a.run()"),
    ("# %%\nx = %time «a.run()»", "# %%\nx = %time await a.run()"),
    ("# %%\nfor a in b:\n    print(«a.run()».x)\n", "# %%\nfor a in b:\n    print((await a.run()).x)\n"),
]


@pytest.mark.parametrize(("before", "after"), AWAITS)
def test_await_is_inserted(rewrite: Any, before: str, after: str) -> None:
    first = before.replace("not «a.run()»", "not a.run()")
    assert rewrite(edits.insert_await, IN + first) == (IN + after).replace("«", "").replace("»", "")


@pytest.mark.parametrize("before", NOT_AWAITED)
def test_await_is_not_inserted_where_it_is_not_allowed(rewrite: Any, before: str) -> None:
    assert rewrite(edits.insert_await, before) is None


@pytest.mark.parametrize(("before", "after"), IN_CELLS)
def test_await_at_the_top_of_a_cell(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.insert_await, before) == after


def test_windows_line_ends(rewrite: Any) -> None:
    assert rewrite(edits.insert_await, "async def f():\r\n\tx = 'é'; «a.b()».c\r\n") == (
        "async def f():\r\n\tx = 'é'; (await a.b()).c\r\n"
    )


RUNNERS = [
    ("return «asyncio.run(main())»", "return await main()"),
    ("«asyncio.run(main(), debug=True)»  # go", "await main()  # go"),
    ("x = «aio.run(main(a)(b))».y", "x = (await main(a)(b)).y"),
    ("x = («run(main())»).y", "x = (await main()).y"),
    ("«uvloop.run(main())»", "await main()"),
    ("«loop.run_until_complete(asyncio.gather(a, b))»", "await asyncio.gather(a, b)"),
    ("«asyncio.get_event_loop().run_until_complete(coro)»", "await coro"),
    ("«asyncio.run((main()))»", "await main()"),
    ("«asyncio.run(\n        main(a,\n             b),\n    )»", "await main(a,\n             b)"),
    ("«asyncio.run(\n        a\n        .b()\n    )»", "await (\n        a\n        .b()\n    )"),
    ("«asyncio.run(a if b else c)»", "await (a if b else c)"),
    ("«asyncio.run(  # why\n        main(),  # what\n    )»", "await (  # why\n        main()  # what\n    )"),
    (
        "«asyncio.run(\n        main()  # a, b\n        ,\n    )»",
        "await (\n        main()  # a, b\n        \n    )",
    ),
    ("print(«asyncio.run(main('é'))», 'ü')", "print(await main('é'), 'ü')"),
    ("«anyio.run(main)»", "await main()"),
    ("«anyio.run(self.main, 1, b)»", "await self.main(1, b)"),
    ("if x: «asyncio.run(main())»", "if x: await main()"),
    ("a(); «asyncio.run(main())»; b()", "a(); await main(); b()"),
]

IMPORTS = "import anyio, asyncio, uvloop\nimport asyncio as aio\nfrom asyncio import run\n"

NOT_UNWRAPPED = [
    IMPORTS + "«asyncio.run(main())»",
    IMPORTS + "def f():\n    «asyncio.run(main())»",
    IMPORTS + IN + "x = lambda: «asyncio.run(main())»",
    IMPORTS + IN + "«asyncio.run(*main())»",
    IMPORTS + IN + "«asyncio.run(main(), loop_factory=x)»",
    IMPORTS + IN + "«asyncio.run(await main())»",
    IMPORTS + IN + "«asyncio.run()»",
    IMPORTS + IN + "«anyio.run(main, backend='trio')»",
    IMPORTS + IN + "«subprocess.run(main())»",
    IMPORTS + IN + "«runner.run(main())»",
    IN + "«run(main())»",
]


@pytest.mark.parametrize(("before", "after"), RUNNERS)
def test_a_runner_becomes_await(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.unwrap_runner, IMPORTS + IN + before) == IMPORTS + IN + after


@pytest.mark.parametrize("before", NOT_UNWRAPPED)
def test_what_is_no_runner_in_async_code_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.unwrap_runner, before) is None


def test_a_runner_in_a_cell_becomes_top_level_await(rewrite: Any) -> None:
    assert (
        rewrite(edits.unwrap_runner, "# %%\nimport asyncio# %%\n!ls\nif x:\n    r = «asyncio.run(main())»")
        == "# %%\nimport asyncio# %%\n!ls\nif x:\n    r = await main()"
    )
    assert rewrite.fix.safe


LOOPS = [
    (
        "loop = asyncio.get_event_loop()\n    «loop.run_until_complete(a())»\n    loop.run_until_complete(b())",
        "await a()\n    await b()",
    ),
    (
        "loop = asyncio.new_event_loop()\n    asyncio.set_event_loop(loop)\n    try:\n"
        "        return «loop.run_until_complete(a())»\n    finally:\n"
        "        loop.run_until_complete(loop.shutdown_asyncgens())\n        loop.close()",
        "return await a()\n",
    ),
    (
        "loop = asyncio.get_running_loop()\n    loop.set_debug(True)\n    «loop.run_until_complete(a())»",
        "loop = asyncio.get_running_loop()\n    loop.set_debug(True)\n    await a()",
    ),
    ("«asyncio.new_event_loop().run_until_complete(a())»", "await a()"),
]


@pytest.mark.parametrize(("before", "after"), LOOPS)
def test_a_loop_of_its_own_goes_too(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.unwrap_runner, IMPORTS + IN + before) == IMPORTS + IN + after


def test_a_new_loop_with_another_use_stays(rewrite: Any) -> None:
    before = "loop = asyncio.new_event_loop()\n    «loop.run_until_complete(a())»\n    loop.call_soon(f)"
    assert rewrite(edits.unwrap_runner, IMPORTS + IN + before) is None


def test_a_loop_of_the_function_that_is_made_async(rewrite: Any) -> None:
    before = (
        "import asyncio\ndef h():\n    loop = asyncio.new_event_loop()\n    try:\n"
        "        return «loop.run_until_complete(a())»\n    finally:\n        loop.close()\n"
        "async def g():\n    «h()»"
    )
    assert rewrite(make_async, before) == (
        "import asyncio\nasync def h():\n    return await a()\nasync def g():\n    await h()"
    )


def make_async(code: edits.Code, runner: Place, *callers: Place) -> Any:
    return edits.make_async(code, runner, [(code, place) for place in callers])


def test_a_function_is_made_async_and_awaited(rewrite: Any) -> None:
    before = (
        "import asyncio\n\n\n@staticmethod\ndef helper(x):\n    # once\n    return «asyncio.run(agent.run(x))»\n"
        "\n\n"
        "async def handler():\n    y = «helper(1)».messages\n    return «helper(y)»\n"
    )
    assert rewrite(make_async, before) == (
        "import asyncio\n\n\n@staticmethod\nasync def helper(x):\n    # once\n    return await agent.run(x)\n\n\n"
        "async def handler():\n    y = (await helper(1)).messages\n    return await helper(y)\n"
    )
    assert not rewrite.fix.safe
    assert rewrite.fix.title == "Make `helper` async and await it"


def test_all_runners_of_the_function_go(rewrite: Any) -> None:
    before = "import asyncio\ndef h():\n    «asyncio.run(a())»\n    asyncio.run(b())\nasync def g():\n    «h()»"
    assert rewrite(make_async, before) == (
        "import asyncio\nasync def h():\n    await a()\n    await b()\nasync def g():\n    await h()"
    )


def test_callers_in_other_files() -> None:
    helper = edits.parse(Source("h.py", "import asyncio\ndef h():\n    return asyncio.run(a())\n"))
    caller = edits.parse(Source("c.py", "import h\nasync def g():\n    return h.h().x\n"))
    assert helper is not None
    assert caller is not None
    call = Place("c.py", 3, 11, 3, 16)
    fix = edits.make_async(helper, Place("h.py", 3, 11, 3, 27), [(caller, call)])
    finding = Finding("TL101", call, "", "error", fix=fix)
    fixed = fixing.apply({"h.py": helper.source.text, "c.py": caller.source.text}, [finding], unsafe=True)
    assert fixed.texts == {
        "h.py": "import asyncio\nasync def h():\n    return await a()\n",
        "c.py": "import h\nasync def g():\n    return (await h.h()).x\n",
    }


def test_cells_may_call_it(rewrite: Any) -> None:
    before = "# %%\nimport asyncio\ndef h(): return «asyncio.run(a())»# %%\nx = «h()»"
    assert rewrite(make_async, before) == (
        "# %%\nimport asyncio\nasync def h(): return await a()# %%\nx = await h()"
    )


@pytest.mark.parametrize(
    "before",
    [
        "def g():\n    return «h()»\ndef h():\n    return «asyncio.run(a())»",
        "x = «h()»\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    submit(h)\n    «h()»\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    «h()»\n    h()\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    return lambda: «h()»\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    return «h()»\ndef h():\n    yield «asyncio.run(a())»",
        "async def g():\n    return «h()»\n@property\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    return «h()»\n@cache()\ndef h():\n    return «asyncio.run(a())»",
        "async def g():\n    return «A()»\nclass A:\n    def __init__(self):\n        «asyncio.run(a())»",
        "async def g():\n    return «h()»\ndef h():\n    asyncio.run(b, x=y)\n    «asyncio.run(a())»",
        "async def g():\n    return «h()»\ndef h():\n    return (lambda: «asyncio.run(a())»)()",
    ],
)
def test_a_function_that_can_not_be_async_stays(rewrite: Any, before: str) -> None:
    def last_is_the_runner(code: edits.Code, *places: Place) -> Any:
        return make_async(code, places[-1], *places[:-1])

    assert rewrite(last_is_the_runner, "import asyncio\n" + before) is None


TWINS = [
    ("«user.initiate_chat(a, message=m)»", "await user.a_initiate_chat(a, message=m)"),
    ("x = «user.initiate_chat(a)».summary", "x = (await user.a_initiate_chat(a)).summary"),
    ("x = «self.user.generate_reply(\n    m)»", "x = await self.user.a_generate_reply(\n    m)"),
    ("«a[0] . send(m, b)»", "await a[0] . a_send(m, b)"),
    ("«é.receive(m)»; y", "await é.a_receive(m); y"),
    ("return «autogen.initiate_chats(c)»", "return await autogen.a_initiate_chats(c)"),
    ("if x: «(a or b).run(m)»", "if x: await (a or b).a_run(m)"),
    ("x = [«u.get_human_input(p)»]  # c", "x = [await u.a_get_human_input(p)]  # c"),
    ("print(«u.generate_oai_reply(p)»)", "print(await u.a_generate_oai_reply(p))"),
    ("x, y = «u.execute_function(p)»", "x, y = await u.a_execute_function(p)"),
]


@pytest.mark.parametrize(("before", "after"), TWINS)
def test_the_async_twin(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.async_twin, IN + before) == IN + after


@pytest.mark.parametrize(
    "before",
    [
        "def f():\n    «u.initiate_chat(a)»",
        IN + "«initiate_chat(a)»",
        IN + "«u.a_initiate_chat(a)»",
        IN + "«u.other(a)»",
        IN + "x = lambda: «u.send(a)»",
        IN + "await «u.send(a)»",
    ],
)
def test_no_twin(rewrite: Any, before: str) -> None:
    assert rewrite(edits.async_twin, before) is None


def test_a_twin_in_a_cell_and_one_by_name(rewrite: Any) -> None:
    assert rewrite(edits.async_twin, "# %%\n«u.send(a)»") == "# %%\nawait u.a_send(a)"
    assert rewrite(lambda c, p: edits.async_twin(c, p, "other_async"), IN + "«u.other(a)»") == (
        IN + "await u.other_async(a)"
    )


SLEEPS = [
    (
        "import asyncio\nimport time\n",
        "«time.sleep(1)»",
        "import asyncio\nimport time\n",
        "await asyncio.sleep(1)",
    ),
    ("import time\n", "«time.sleep(1)»  # c", "import asyncio\nimport time\n", "await asyncio.sleep(1)  # c"),
    (
        "import abc\nimport time\n",
        "«time.sleep(1)»",
        "import abc\nimport asyncio\nimport time\n",
        "await asyncio.sleep(1)",
    ),
    ("import abc\n", "«time.sleep(1)»", "import abc\nimport asyncio\n", "await asyncio.sleep(1)"),
    (
        "from time import sleep\n",
        "«sleep(1)»",
        "import asyncio\nfrom time import sleep\n",
        "await asyncio.sleep(1)",
    ),
    (
        "import asyncio as aio\n",
        "if a: «time.sleep(\n1)»",
        "import asyncio as aio\n",
        "if a: await aio.sleep(\n1)",
    ),
    ('"""Doc."""\n', "a; «t.sleep(1)»", '"""Doc."""\n\nimport asyncio\n', "a; await asyncio.sleep(1)"),
    (
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport time\n',
        "«time.sleep(1)»",
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport asyncio\nimport time\n',
        "await asyncio.sleep(1)",
    ),
    (
        "#!/usr/bin/env python\n# é\n\n",
        "«time.sleep(1)»",
        "#!/usr/bin/env python\n# é\n\nimport asyncio\n\n",
        "await asyncio.sleep(1)",
    ),
    (
        "try:\n    import asyncio\nexcept ImportError:\n    pass\n",
        "«time.sleep(1)»",
        "try:\n    import asyncio\nexcept ImportError:\n    pass\n",
        "await asyncio.sleep(1)",
    ),
    ("import time\r\n", "«time.sleep(1)»\r\n", "import asyncio\r\nimport time\r\n", "await asyncio.sleep(1)\r\n"),
    ("import time; x\n", "«time.sleep(1)»", "import asyncio\nimport time; x\n", "await asyncio.sleep(1)"),
]


@pytest.mark.parametrize(("head", "before", "new_head", "after"), SLEEPS)
def test_sleeping_without_blocking(rewrite: Any, head: str, before: str, new_head: str, after: str) -> None:
    assert rewrite(edits.async_sleep, head + IN + before) == new_head + IN + after


@pytest.mark.parametrize(
    "before",
    [
        "def f():\n    «time.sleep(1)»",
        IN + "«time.sleep()»",
        IN + "«time.sleep(*a)»",
        "def asyncio(): pass\n" + IN + "«time.sleep(1)»",
        "from x import asyncio\n" + IN + "«time.sleep(1)»",
        "async def f(asyncio):\n    «time.sleep(1)»",
        '"""Doc."""; x = 1\nasync def f():\n    «time.sleep(1)»',
    ],
)
def test_a_sleep_that_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.async_sleep, before) is None


def test_the_import_goes_to_the_cell(rewrite: Any) -> None:
    assert rewrite(edits.async_sleep, "# %%\nimport time# %%\n%%time\nasync def f():\n    «time.sleep(1)»") == (
        "# %%\nimport time# %%\n%%time\nimport asyncio\n\nasync def f():\n    await asyncio.sleep(1)"
    )
    assert rewrite(edits.async_sleep, "# %%\nimport asyncio# %%\nasync def f():\n    «time.sleep(1)»") == (
        "# %%\nimport asyncio# %%\nasync def f():\n    await asyncio.sleep(1)"
    )


TASKS = [
    ("«asyncio.create_task(a.run(m))»", "await a.run(m)"),
    ("«asyncio.ensure_future(a.run(m))»  # c", "await a.run(m)  # c"),
    ("if a: «loop.create_task(a.run(m))»", "if a: await a.run(m)"),
    ("b; «create_task(\n        a.run('é')\n    )»; c", "b; await a.run('é'); c"),
]


@pytest.mark.parametrize(("before", "after"), TASKS)
def test_a_dropped_task_is_awaited(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(edits.keep_task, IN + before) == IN + after
    assert not rewrite.fix.safe


def kept(code: edits.Code, place: Place) -> Any:
    return edits.keep_task(code, place, awaited=False)


KEPT = "task = asyncio.create_task(g())\n    background_tasks.add(task)\n    "
KEPT += "task.add_done_callback(background_tasks.discard)"
SET = "background_tasks: set[asyncio.Task] = set()\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "import asyncio\n\n\n@app.get('/')\nasync def f(a):\n    «asyncio.create_task(g())»\n",
            f"import asyncio\n\n\n{SET}\n\n@app.get('/')\nasync def f(a):\n    {KEPT}\n",
        ),
        (
            "import asyncio\n\n# first\ndef g(): pass\n\ndef f():\n    «asyncio.create_task(g())»",
            f"import asyncio\n\n{SET}\n\n# first\ndef g(): pass\n\ndef f():\n    {KEPT}",
        ),
        (
            "import asyncio\nbackground_tasks = set()\ndef f():\n    «asyncio.create_task(g())»",
            f"import asyncio\nbackground_tasks = set()\ndef f():\n    {KEPT}",
        ),
        (
            "def g(): pass\nimport asyncio\ndef f():\n    «asyncio.create_task(g())»",
            f"def g(): pass\nimport asyncio\n{SET}\n\ndef f():\n    {KEPT}",
        ),
        (
            "# %%\nimport asyncio\ndef g(): pass# %%\n# c\ndef f():\n    «asyncio.create_task(g())»",
            f"# %%\nimport asyncio\ndef g(): pass# %%\n{SET}\n\n# c\ndef f():\n    {KEPT}",
        ),
    ],
)
def test_a_dropped_task_is_kept(rewrite: Any, before: str, after: str) -> None:
    assert rewrite(kept, before) == after


def test_all_tasks_of_a_file_are_kept_in_one_set() -> None:
    text = "import asyncio\ndef f():\n    create(a)\ndef g():\n    create(b)\n".replace(
        "create", "asyncio.create_task"
    )
    code = edits.parse(Source("a.py", text))
    assert code is not None
    places = [Place("a.py", line, 4, line, 26) for line in (3, 5)]
    findings = [Finding("TL501", place, "", "error", fix=kept(code, place)) for place in places]
    fixed = fixing.apply({"a.py": text}, findings, unsafe=True)
    assert len(fixed.fixed) == 2
    assert fixed.texts["a.py"].count("= set()") == 1


@pytest.mark.parametrize(
    "before",
    [
        IN + "t = «asyncio.create_task(g())»",
        IN + "return «asyncio.create_task(g())»",
        "def f():\n    «asyncio.create_task(g())»",
        IN + "«asyncio.create_task(g(), name='n')»",
        IN + "x = lambda: «asyncio.create_task(g())»",
    ],
)
def test_a_task_that_is_not_dropped_stays(rewrite: Any, before: str) -> None:
    assert rewrite(edits.keep_task, before) is None


@pytest.mark.parametrize(
    "before",
    [
        IN + "if a: «asyncio.create_task(g())»",
        IN + "task = 1\n    «asyncio.create_task(g())»",
        "background_tasks = 1\n" + IN + "«asyncio.create_task(g())»",
        "background_tasks = set()\ndef f(background_tasks):\n    «asyncio.create_task(g())»",
        "def f(task):\n    «asyncio.create_task(g())»",
        "«asyncio.create_task(g())»",
    ],
)
def test_a_task_that_can_not_be_kept_stays(rewrite: Any, before: str) -> None:
    assert rewrite(kept, before) is None
