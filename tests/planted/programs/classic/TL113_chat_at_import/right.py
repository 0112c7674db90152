from contextlib import asynccontextmanager

from fastapi import FastAPI
from right_slogan import slogan


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.slogan = await slogan()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/motto")
async def motto(body: dict):
    return {"motto": f"{app.state.slogan} {body['name']}"}
