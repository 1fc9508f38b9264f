"""A publisher in another language: registers instances as JSON, retries until acknowledged, writes down what was.

usage: publisher.py URL SEED OUTPUT
Each line of OUTPUT is one acknowledged event: "<instance id> <sequence>". Ends when its standard input is closed.
"""
import asyncio
import json
import sys

import nats
from nats.errors import Error as NatsError


async def publish(client, output, seed, number):
    instance = f"instance-{seed}-{number}"
    body = json.dumps({
        "service_name": "checkout",
        "events": [{"instance_id": instance, "endpoint": f"10.0.{number >> 8 & 255}.{number & 255}:8080"}],
    }).encode()
    while True:
        try:
            reply = await client.request(
                "lattice.events.registry.checkout.registered", body, timeout=1,
                headers={"Nats-Msg-Id": instance, "Content-Type": "application/json"})
        except (NatsError, asyncio.TimeoutError):
            await asyncio.sleep(0.02)
            continue
        answer = json.loads(reply.data)
        if answer["outcome"] == "accepted":
            output.write(f"{instance} {answer['sequence']}\n")
        elif answer["outcome"] == "duplicate":
            output.write(f"{instance} {answer['first_sequence']}\n")
        else:
            raise SystemExit(f"unexpected outcome {answer}")
        output.flush()
        return


async def main(url, seed, path):
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    loop = asyncio.get_running_loop()
    stopped = loop.run_in_executor(None, sys.stdin.read)
    with open(path, "a", encoding="utf-8") as output:
        async def worker(lane):
            number = lane
            while not stopped.done():
                await publish(client, output, seed, number)
                number += 16
        await asyncio.gather(*(worker(lane) for lane in range(16)))
    await client.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3]))
