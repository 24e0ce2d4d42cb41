"""An agent that counts words: streams one output for each line, and returns the sums.

Usage: agent.py HOST:PORT AGENT_ID
"""

import asyncio
import json
import logging
import signal
import sys

from mycel_agent import Agent, Attempt, TerminalError


async def count_words(attempt: Attempt) -> dict[str, int]:
    """Counts the words of `text`; `pause` seconds go by before each line, for those who want to watch."""
    text = (attempt.input or {}).get("text")
    if not isinstance(text, str):
        raise TerminalError("text: must be a string", reason="INVALID_INPUT")
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        await asyncio.sleep(attempt.input.get("pause", 0))
        await attempt.output({"line": number, "words": len(line.split())})
    return {"lines": len(lines), "words": len(text.split())}


async def main(address: str, agent_id: str) -> None:
    agent = Agent(address, agent_id, name="word-counter", handlers={"word-count": count_words})
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await agent.run(stop, ready=lambda: print(json.dumps({"msg": "ready", "agent_id": agent.agent_id}), flush=True))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(main(*sys.argv[1:]))
