"""What expressions stand for: the value, how long it lives and who holds it."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

AGENT = """\
class Agent:
    limit = 3
    def __init__(self, name="a"):
        self.name = name
    def run(self):
        return 1
    async def ask(self):
        return Agent()
    async def stream(self):
        yield Agent()
    @property
    def peer(self):
        return Agent()
    @staticmethod
    def made():
        return Agent()
    @classmethod
    def build(cls):
        return cls()
"""


def values(code: str) -> list[str]:
    return Checked(AGENT + code).values()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("look(Agent())", ["Agent"]),
        ("look(Agent)", ["class Agent"]),
        ("look(Agent().run)", ["def Agent.run"]),
        ("look(Agent().ask())", ["coroutine[Agent]"]),
        ("look(Agent().stream())", ["stream[Agent]"]),
        ("look(Agent().peer)", ["Agent"]),
        ("look(Agent.made())", ["Agent"]),
        ("look(Agent.build())", ["Agent"]),
        ("look(print)", ["builtins.print"]),
        ("look(unknown(1))", []),
        ("look(None)", ["None"]),
        ("look([Agent()])", ["list[Agent]"]),
        ("look((Agent(), 1)[0])", ["Agent"]),
        ("look((Agent(), 1)[1])", ["1"]),
        ("look({'a': Agent()}['a'])", ["Agent"]),
        ("look(Agent() if unknown else None)", ["Agent", "None"]),
        ("look(Agent() or None)", ["Agent", "None"]),
        ("look([a for a in [Agent()]])", ["list[Agent module]"]),
        ("look((lambda: Agent())())", ["Agent"]),
        ("look(getattr(Agent(), 'run'))", ["def Agent.run"]),
        ("look(next(iter([Agent()])))", ["Agent"]),
        ("look(list((Agent(),))[0])", ["Agent"]),
        ("look(dict(a=Agent())['a'])", ["Agent"]),
        ("look('a'.join)", ["str.join"]),
        ("import typing\nlook(typing.cast(Agent, Agent()))", ["Agent"]),
    ],
)
def test_an_expression_of_the_module(code: str, expected: list[str]) -> None:
    assert values(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import asyncio\nasync def f(): look(await Agent().ask())", ["Agent"]),
        ("import asyncio\nasync def f(): look(asyncio.create_task(Agent().ask()))", ["task[coroutine[Agent]]"]),
        ("import asyncio\nasync def f(): look(await asyncio.create_task(Agent().ask()))", ["Agent"]),
        (
            "import asyncio\nasync def f(): look(await asyncio.gather(Agent().ask(), Agent().ask()))",
            ["list[Agent, Agent]"],
        ),
        (
            "import asyncio\nasync def f():\n"
            "    one, two = await asyncio.gather(Agent().ask(), other())\n    look(one)",
            ["Agent"],
        ),
        ("import asyncio\ndef f(): look(asyncio.run(Agent().ask()))", ["Agent"]),
        ("import asyncio\nasync def f(): look(await asyncio.to_thread(Agent.made))", ["Agent"]),
        ("import asyncio\nasync def f(): look(await asyncio.wait_for(Agent().ask(), 3))", ["Agent"]),
        (
            "import asyncio\n"
            "async def f(): look(await asyncio.get_running_loop().run_in_executor(None, Agent.made))",
            ["Agent"],
        ),
        (
            "import asyncio\ndef f(): look(asyncio.get_event_loop().run_until_complete(Agent().ask()))",
            ["Agent"],
        ),
        (
            "from concurrent.futures import ThreadPoolExecutor\n"
            "def f():\n    with ThreadPoolExecutor() as pool:\n        look(pool.submit(Agent.made))",
            ["task[Agent]"],
        ),
        ("async def f():\n    async for one in Agent().stream():\n        look(one)", ["Agent"]),
        ("async def f():\n    look([one async for one in Agent().stream()])", ["list[Agent]"]),
        (
            "from contextlib import contextmanager\n@contextmanager\ndef opened():\n    yield Agent()\n"
            "def f():\n    with opened() as one:\n        look(one)",
            ["Agent"],
        ),
        (
            "from contextlib import asynccontextmanager\n"
            "@asynccontextmanager\nasync def opened():\n    yield Agent()\n"
            "async def f():\n    async with opened() as one:\n        look(one)",
            ["Agent"],
        ),
        ("from functools import partial\ndef f(): look(partial(Agent.made))", ["def Agent.made"]),
        ("from functools import partial\ndef f(): look(partial(Agent.made)())", ["Agent"]),
    ],
)
def test_asynchronous_code_gives_what_is_awaited(code: str, expected: list[str]) -> None:
    assert values(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("agent = Agent()\ndef chat(): look(agent)", ["Agent module"]),
        ("def chat():\n    agent = Agent()\n    look(agent)", ["Agent"]),
        ("limit = 3\ndef chat(): look(limit)", ["3"]),
        ("def chat(agent: Agent): look(agent)", ["Agent? given"]),
        ("def chat(agent: Agent | None): look(agent)", ["Agent? given"]),
        ("from typing import Optional\ndef chat(agent: Optional[Agent]): look(agent)", ["Agent? given"]),
        ("def chat(agents: list[Agent]): look(agents[0])", ["Agent? given"]),
        ("def chat(agent=Agent()): look(agent)", ["Agent default"]),
        ("def chat(agents=[]): look(agents)", ["list[] default"]),
        ("def chat(text='x'): look(text)", []),
        ("agents = {}\ndef chat(s):\n    agents[s] = Agent()\n    look(agents[s])", ["Agent keyed"]),
        ("agents = {}\ndef chat(s):\n    agents[s] = Agent()\n    look(agents.get(s))", ["Agent keyed"]),
        (
            "agents = {}\ndef make(s):\n    agents[s] = Agent()\n"
            "    return agents[s]\ndef chat(s):\n    look(make(s))",
            ["Agent keyed"],
        ),
        ("agents = {}\ndef chat(s): look(agents.setdefault(s, Agent()))", ["Agent keyed", "Agent"]),
        ("agents = {'a': Agent()}\ndef chat(k): look(agents[k])", ["Agent module"]),
        ("agents = {'a': Agent()}\ndef chat():\n    for a in agents.values():\n        look(a)", ["Agent module"]),
        (
            "agents = {'a': Agent()}\ndef chat():\n    for name, a in agents.items():\n        look(a)",
            ["Agent module"],
        ),
        ("agents = [Agent()]\ndef chat():\n    for a in agents:\n        look(a)", ["Agent module"]),
        ("agents = []\nagents.append(Agent())\ndef chat(): look(agents[0])", ["Agent module"]),
        ("one, two = Agent(), 3\ndef chat(): look(one)", ["Agent module"]),
        ("agent = None\ndef chat():\n    global agent\n    agent = Agent()\n    look(agent)", ["Agent"]),
        (
            "agent = None\ndef chat():\n    global agent\n"
            "    if agent is None:\n        agent = Agent()\n    look(agent)",
            ["None", "Agent module"],
        ),
        (
            "agent = None\ndef make():\n    global agent\n    agent = Agent()\ndef chat(): look(agent)",
            ["None", "Agent module"],
        ),
        ("agent = Agent()\nagent += 1\ndef chat(): look(agent)", ["Agent module"]),
        ("agent: Agent = make()\ndef chat(): look(agent)", ["Agent? module"]),
        ("with open('x') as file, Agent() as agent:\n    pass\ndef chat(): look(agent)", ["Agent module"]),
        ("if (agent := Agent()):\n    pass\ndef chat(): look(agent)", ["Agent module"]),
    ],
)
def test_how_long_a_variable_lives(code: str, expected: list[str]) -> None:
    assert values(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def app():\n    agent = Agent()\n    def chat(): look(agent)\n    return chat", ["Agent closure"]),
        ("def app():\n    agent = Agent()\n    def chat():\n        def inner(): look(agent)", ["Agent closure"]),
        ("def app():\n    agent = Agent()\n    return lambda: look(agent)", ["Agent closure"]),
        ("def app(agent: Agent):\n    def chat(): look(agent)", ["Agent? given"]),
        (
            "def app():\n    agent = None\n    def chat():\n"
            "        nonlocal agent\n        agent = Agent()\n        look(agent)",
            ["None", "Agent closure"],
        ),
    ],
)
def test_variables_of_an_app_factory_outlive_the_request(code: str, expected: list[str]) -> None:
    assert values(code) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("    agent = Agent()\n    def chat(self): look(self.agent)", ["Agent class"]),
        ("    agents = {}\n    def chat(self): look(self.agents)", ["dict[] class"]),
        ("    agent: Agent\n    def chat(self): look(self.agent)", ["Agent? given"]),
        ("    def __init__(self): self.agent = Agent()\n    def chat(self): look(self.agent)", ["Agent given"]),
        (
            "    def __init__(self): self.agent = None\n"
            "    def chat(self):\n        self.agent = Agent()\n        look(self.agent)",
            ["Agent"],
        ),
        (
            "    agents = {}\n    def chat(self, s):\n"
            "        self.agents[s] = Agent()\n        look(self.agents[s])",
            ["Agent keyed"],
        ),
        (
            "    def __init__(self): self.agents = {}\n"
            "    def chat(self, s):\n        self.agents[s] = Agent()\n        look(self.agents[s])",
            ["Agent keyed"],
        ),
        ("    def chat(self): look(self.helper)\n    def helper(self): pass", ["def Service.helper given"]),
        ("    class Inner: pass\n    def chat(self): look(self.Inner())", ["Inner"]),
        (
            "    def __init__(self): self.agent = Agent()\n"
            "    @property\n    def main(self): return self.agent\n"
            "    @main.setter\n    def main(self, x): pass\n"
            "    def chat(self): look(self.main)",
            ["Agent given"],
        ),
        ("    def __enter__(self): return Agent()\nwith Service() as x:\n    look(x)", ["Agent module"]),
        ("    def __call__(self): return Agent()\nlook(Service()())", ["Agent"]),
        ("    pass\ndef chat(): look(Service().nothing)", []),
    ],
)
def test_attributes_of_an_object(code: str, expected: list[str]) -> None:
    assert values(f"class Service:\n{code}") == expected


SERVICE = """\
class Service:
    def __init__(self, agent=None, *, other=None):
        self.agent = agent
        self.other = other
        self.own = Agent()
    def get(self):
        return self.agent
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("service = Service(Agent())\ndef chat(): look(service.agent)", ["Agent module"]),
        ("service = Service(Agent())\ndef chat(): look(service.get())", ["Agent module"]),
        ("service = Service(other=Agent())\ndef chat(): look(service.other)", ["Agent module"]),
        ("service = Service()\ndef chat(): look(service.own)", ["Agent module"]),
        ("def chat(): look(Service(Agent()).agent)", ["Agent"]),
        ("def chat(): look(Service().own)", ["Agent"]),
        ("shared = Agent()\ndef chat(): look(Service(shared).agent)", ["Agent module"]),
        ("service = Service()\nservice.other = Agent()\ndef chat(): look(service.agent)", ["None module"]),
        ("class Sub(Service):\n    pass\ndef chat(): look(Sub(Agent()).agent)", ["Agent"]),
        (
            "class Sub(Service):\n    def __init__(self):\n        super().__init__(Agent())\n"
            "def chat(): look(Sub().own)",
            ["Agent"],
        ),
        (
            "class Sub(Service):\n    def get(self):\n        return super().get()\ndef chat(): look(Sub().get)",
            ["def Sub.get"],
        ),
        (
            "class Sub(Service):\n    def find(self): look(super().get)",
            ["def Service.get given"],
        ),
    ],
)
def test_attributes_come_through_the_constructor(code: str, expected: list[str]) -> None:
    assert values(SERVICE + code) == expected


DEPENDS = """\
from typing import Annotated
from fastapi import Depends, FastAPI
app = FastAPI()
shared = Agent()
def new(): return Agent()
def old(): return shared
async def later(): return Agent()
def session():
    yield Agent()
async def stream():
    yield shared
"""


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("agent=Depends(new)", ["Agent"]),
        ("agent=Depends(old)", ["Agent module"]),
        ("agent=Depends(later)", ["Agent"]),
        ("agent=Depends(session)", ["Agent"]),
        ("agent=Depends(stream)", ["Agent module"]),
        ("agent: Annotated[Agent, Depends(old)]", ["Agent module"]),
        ("agent: Annotated[Agent, Depends(new)]", ["Agent"]),
        ("agent: Agent = Depends(Agent)", ["Agent?"]),
        ("agent=Depends(dependency=old)", ["Agent module"]),
        ("agent=new()", ["Agent default"]),
        ("agent=old()", ["Agent module"]),
    ],
)
def test_dependencies_are_what_their_function_gives(parameter: str, expected: list[str]) -> None:
    assert values(f"{DEPENDS}\n@app.get('/')\ndef chat({parameter}): look(agent)") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "app.state.agent = Agent()\n@app.get('/')\ndef chat(request): look(request.app.state.agent)",
            ["Agent app"],
        ),
        (
            "def lifespan(app):\n    app.state.agent = Agent()\n@app.get('/')\ndef chat(): look(app.state.agent)",
            ["Agent app"],
        ),
        ("app.state.limit = 3\n@app.get('/')\ndef chat(): look(app.state.limit)", ["3"]),
    ],
)
def test_the_state_of_an_application(code: str, expected: list[str]) -> None:
    assert values(f"from fastapi import FastAPI\napp = FastAPI()\n{code}") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from functools import lru_cache\n@lru_cache\ndef get(): return Agent()\nlook(get())", ["Agent cached"]),
        (
            "from functools import lru_cache\n@lru_cache(1)\ndef get(): return Agent()\nlook(get())",
            ["Agent cached"],
        ),
        (
            "from functools import cache\n@cache\ndef get(s): return Agent()\ndef f(s): look(get(s))",
            ["Agent keyed"],
        ),
        (
            "from functools import cache\n@cache\ndef get(s): return Agent()\ndef f(): look(get('all'))",
            ["Agent cached"],
        ),
        (
            "import streamlit as st\n@st.cache_resource\ndef get(): return Agent()\ndef f(): look(get())",
            ["Agent cached"],
        ),
        ("import streamlit as st\n@st.cache_data\ndef get(): return Agent()\ndef f(): look(get())", ["Agent"]),
        ("from functools import lru_cache\n@lru_cache\ndef get(): return 3\ndef f(): look(get())", ["3"]),
        (
            "import streamlit as st\nst.session_state.agent = Agent()\nlook(st.session_state.agent)",
            ["Agent session"],
        ),
        (
            "import streamlit as st\nst.session_state['agent'] = Agent()\nlook(st.session_state['agent'])",
            ["Agent session"],
        ),
        (
            "import chainlit as cl\ndef start(): cl.user_session.set('agent', Agent())\n"
            "def chat(): look(cl.user_session.get('agent'))",
            ["Agent session"],
        ),
        (
            "import chainlit as cl\nKEY = 'agent'\ndef start(): cl.user_session.set(KEY, Agent())\n"
            "def chat(): look(cl.user_session.get(KEY))",
            ["Agent session"],
        ),
        (
            "import chainlit as cl\nagent = Agent()\ndef start(): cl.user_session.set('agent', agent)\n"
            "def chat(): look(cl.user_session.get('agent'))",
            ["Agent module"],
        ),
        (
            "import chainlit as cl\ndef start(): cl.user_session.set('agent', Agent())\n"
            "def chat(): look(cl.user_session.get('other'))",
            [],
        ),
    ],
)
def test_what_is_cached_and_what_is_kept_for_one_user(code: str, expected: list[str]) -> None:
    assert values(code) == expected


# --- Files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "agents", "expected"),
    [
        ("from agents import agent\ndef f(): look(agent)", "agents.py", ["Agent module"]),
        ("from agents import agent as one\ndef f(): look(one)", "agents.py", ["Agent module"]),
        ("import agents\ndef f(): look(agents.agent)", "agents.py", ["Agent module"]),
        ("import agents as a\ndef f(): look(a.agent)", "agents.py", ["Agent module"]),
        ("def f():\n    from agents import agent\n    look(agent)", "agents.py", ["Agent module"]),
        ("from agents import *\ndef f(): look(agent)", "agents.py", ["Agent module"]),
        ("from agents import *\ndef f(): look(print)", "agents.py", ["builtins.print"]),
        ("from pack import agents\ndef f(): look(agents.agent)", "pack/agents.py", ["Agent module"]),
        ("import pack.agents\ndef f(): look(pack.agents.agent)", "pack/agents.py", ["Agent module"]),
        ("import pack.agents as x\ndef f(): look(x.agent)", "pack/agents.py", ["Agent module"]),
        ("from pack.agents import agent\ndef f(): look(agent)", "pack/agents.py", ["Agent module"]),
        ("from pack.agents import missing\ndef f(): look(missing)", "pack/agents.py", []),
        (
            "try:\n    from agents import agent\nexcept ImportError:\n    agent = None\ndef f(): look(agent)",
            "agents.py",
            ["None", "Agent module"],
        ),
    ],
)
def test_values_come_from_other_files(main: str, agents: str, expected: list[str]) -> None:
    assert Checked(f"{main}\n# file: {agents}\n{AGENT}agent = Agent()\n").values() == expected


def test_a_package_gives_on_what_it_imports() -> None:
    program = Checked(
        f"from pack import agent, worker\ndef f():\n    look(agent)\n    look(worker)\n"
        f"# file: pack/__init__.py\nfrom .agents import agent\nfrom .agents import *\n"
        f"# file: pack/agents.py\n{AGENT}agent = Agent()\nworker = Agent()\n"
    )

    assert program.values() == ["Agent module", "Agent module"]


def test_relative_imports_start_at_the_package() -> None:
    program = Checked(
        "# file: pack/web/api.py\nfrom ..agents import agent\nfrom .. import agents\n"
        "def f():\n    look(agent)\n    look(agents.agent)\n"
        f"# file: pack/__init__.py\n# file: pack/agents.py\n{AGENT}agent = Agent()\n"
    )

    assert program.values() == ["Agent module", "Agent module"]


def test_a_notebook_and_a_module_of_the_same_name_are_two() -> None:
    assert Checked("import numpy\nlook(numpy.array)").values() == ["numpy.array"]


# --- Holders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("agent = Agent()\ndef chat(): look(agent)", "agent at main.py:20, read in chat as agent"),
        ("agents = [Agent()]\ndef chat(): look(agents[0])", "agents at main.py:20, read in chat as agents"),
        ("def chat(agent=Agent()): look(agent)", "agent at main.py:20, read in chat as agent"),
        (
            "def app():\n    agent = Agent()\n    def chat(): look(agent)",
            "agent at main.py:20, read in app.chat as agent",
        ),
        (
            "class S:\n    def __init__(self): self.agent = Agent()\ns = S()\ndef chat(): look(s.agent)",
            "s.agent at main.py:22, read in chat as s",
        ),
        (
            "class S:\n    agent = Agent()\n    def chat(self): look(self.agent)",
            "S.agent at main.py:21, read in nobody as agent",
        ),
        (
            "from functools import cache\n@cache\ndef get(): return Agent()\ndef chat(): look(get())",
            "get() at main.py:22, read in chat as get",
        ),
        (
            "from fastapi import FastAPI\napp = FastAPI()\n"
            "app.state.bot = Agent()\ndef chat(): look(app.state.bot)",
            "app.state.bot at main.py:22, read in chat as bot",
        ),
        ("def chat(): look(Agent())", ""),
    ],
)
def test_who_holds_a_shared_object(code: str, expected: str) -> None:
    assert Checked(AGENT + code).holders() == [expected]


def test_a_holder_of_another_file_is_read_where_it_is_named() -> None:
    program = Checked(
        f"import agents\nfrom agents import agent as one\ndef f():\n    look(agents.agent)\n    look(one)\n"
        f"# file: agents.py\n{AGENT}agent = Agent()\n"
    )

    assert program.holders() == [
        "agent at agents.py:20, read in f as agents",
        "agent at agents.py:20, read in f as one",
    ]


# --- Bounds ------------------------------------------------------------------------------------------------------

CHAINS = (
    "x{0} = x{1}",
    "x{0} = x{1}.a",
    "x{0} = [x{1}]",
    "x{0} = (x{1}, x{1})",
    "x{0} = x{1}[x{1}] or x{1}()",
    "x{0} = f(x{1})",
    "x{0} = lambda: x{1}()",
    "def x{0}(): return x{1}()",
    "def x{0}(a): x{1}(a)",
    "def x{0}(a: x{1}(3).b = x{1}()): return a",
    "def x{0}():\n    def g(): return x{1}()\n    return g()",
    "@x{1}\ndef x{0}(): return x{1}()",
    "class x{0}(x{1}): pass",
    "class x{0}(x{1}):\n    def a(self): return super().a()",
    "class x{0}:\n    def __init__(self): self.a = x{1}().a",
    "class x{0}:\n    @property\n    def a(self): return x{1}().a",
    "class x{0}:\n    def __enter__(self):\n        with x{1}() as x: return x",
)


@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("shape", CHAINS)
def test_a_chain_of_a_thousand_definitions_ends(shape: str, step: int) -> None:
    rows = [shape.format(number + 1, number) for number in range(1000)]
    program = Checked(
        "\n".join(
            [
                "def f(x): return x",
                "class x0: pass",
                *rows[::step],
                "def chat():\n    look(x1000)\n    look(x1000())\n    look(x1000().a)",
            ]
        )
    )

    program.refs()

    assert program.evaluator.asked < 20_000
    assert len(program.exploration.sites) < 20_000


RECURSIVE = (
    "x = x",
    "x = y\ny = x",
    "x = [x]",
    "x = x.a\nx.a = x",
    "x = []\nx.append(x)",
    "x = {}\nx['a'] = x",
    "a.x = b.y\nb.y = a.x\nx = a.x",
    "class x:\n    def __init__(self):\n        self.a = self.b\n        self.b = self.a",
    "class a:\n    def __init__(self, o=None): self.x = o.y if o else b(self).x\n"
    "class b:\n    def __init__(self, o): self.y = o.x; self.x = a(self).x\nx = a()",
    "class x(x): pass",
    "class x(x.x): pass",
    "class y(x): pass\nclass x(y): pass",
    "def x(): return x()",
    "def x(): return y()\ndef y(): return x()",
    "def x(n=None): return [x([n])]",
    "def x(f=None): return x(lambda: f)",
    "def x(f=None):\n    def g(): return x(g)\n    return g()",
    "class x:\n    def __init__(self, inner=None): self.inner = x(self)",
    "class x:\n    @property\n    def a(self): return self.a",
    "class x:\n    def __call__(self): return self()",
    "from main import x",
    "from main import *\nx = x",
    "import main\nx = main.x",
    "@x\ndef x(): pass",
    "def x(a=x()): return a",
    "import functools\nx = functools.partial(x)",
    "x = (yield_ := x)",
    "for x in x: x = x",
    "with x as x: pass",
)


@pytest.mark.parametrize("code", RECURSIVE)
def test_what_is_defined_by_itself_ends(code: str) -> None:
    program = Checked(f"{code}\ndef chat():\n    look(x)\n    look(x())\n    look(x().a)\n    look(x.inner)\n")

    program.refs()

    assert program.evaluator.asked < 2_000
    assert len(program.exploration.sites) < 1_000


def test_many_ways_into_one_function_are_bounded() -> None:
    calls = "\n".join(f"def c{n}(a):\n    c{n + 1}(C{n}())\n    c{n + 1}(a)\nclass C{n}: pass" for n in range(40))
    program = Checked(f"{calls}\ndef c40(a): look(a)\ndef start(): c0(None)\n")

    assert program.sites()
    assert len(program.exploration.sites) < 20_000


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(n): return Agent() if n else g(n)\ndef g(n): return f(n)\nlook(g(1))", ["Agent"]),
        ("def f(n): return f(n - 1) if n else Agent()\nlook(f(1))", ["Agent"]),
        ("class C(Agent):\n    def run(self): return self.run() or Agent()\nlook(C().run())", ["Agent"]),
        ("x = y\ny = x\ny = Agent()\ndef f(): look(x)", ["Agent module"]),
    ],
)
def test_recursion_does_not_hide_what_is_known(code: str, expected: list[str]) -> None:
    assert values(code) == expected
