"""A publisher in another language: registers instances as JSON, retries until acknowledged, writes down what was.

usage: publisher.py URL[,URL…] SEED OUTPUT [stream]
Each line of OUTPUT is one acknowledged event: "<instance id> <sequence>". Ends when its standard input is closed.
With "stream", events go into JetStream, whose acknowledgement says only where they stand; what became of them is asked
of whichever node answers.
"""
import asyncio
import json
import sys

import nats
from nats.errors import Error as NatsError


async def direct(client, subject, body, headers):
    """The node's own answer, on the reply subject."""
    return json.loads((await client.request(subject, body, timeout=1, headers=headers)).data)


async def through_stream(client, subject, body, headers):
    """The outcome of the sequence that the stream gave, first or repeated."""
    position = await client.jetstream().publish(subject, body, timeout=1, headers=headers)
    question = json.dumps({"sequence": str(position.seq), "min_sequence": str(position.seq)}).encode()
    while True:
        try:
            answer = json.loads((await client.request("lattice.queries.node.outcome", question, timeout=2)).data)
        except (NatsError, asyncio.TimeoutError):
            answer = {}
        if "outcome" in answer:
            return answer
        await asyncio.sleep(0.02)


async def publish(client, ask, output, seed, number):
    instance = f"instance-{seed}-{number}"
    body = json.dumps({
        "service_name": "checkout",
        "events": [{"instance_id": instance, "endpoint": f"10.0.{number >> 8 & 255}.{number & 255}:8080"}],
    }).encode()
    while True:
        try:
            answer = await ask(
                client, "lattice.events.registry.checkout.registered", body,
                {"Nats-Msg-Id": instance, "Content-Type": "application/json"})
        except (NatsError, asyncio.TimeoutError):
            await asyncio.sleep(0.02)
            continue
        if answer["outcome"] == "accepted":
            output.write(f"{instance} {answer['sequence']}\n")
        elif answer["outcome"] == "duplicate":
            output.write(f"{instance} {answer['first_sequence']}\n")
        else:
            raise SystemExit(f"unexpected outcome {answer}")
        output.flush()
        return


async def main(url, seed, path, ask):
    # A server that is paused takes connections and says nothing: only pings that nobody answers tell.
    client = await nats.connect(
        url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.05, connect_timeout=1, ping_interval=1,
        max_outstanding_pings=2)
    loop = asyncio.get_running_loop()
    stopped = loop.run_in_executor(None, sys.stdin.read)
    with open(path, "a", encoding="utf-8") as output:
        async def worker(lane):
            number = lane
            while not stopped.done():
                await publish(client, ask, output, seed, number)
                number += 16
        await asyncio.gather(*(worker(lane) for lane in range(16)))
    await client.close()


asyncio.run(main(*sys.argv[1:4], through_stream if sys.argv[4:] == ["stream"] else direct))
