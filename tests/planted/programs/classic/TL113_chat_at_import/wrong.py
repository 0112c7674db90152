from fastapi import FastAPI
from wrong_slogan import SLOGAN

app = FastAPI()


@app.post("/motto")
async def motto(body: dict):
    return {"motto": f"{SLOGAN} {body['name']}"}
