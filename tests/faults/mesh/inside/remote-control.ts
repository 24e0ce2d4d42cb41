// Preloaded into every agent and coordinator of a fault test: carries out what the test tells the process to do to itself, and ends the
// process when the test is gone. The product knows nothing of it.
import process from "node:process";
import "./redirect.ts";
import { jumpClock } from "./shifted-clock.ts";
import type { ControlAnswer, ControlMessage, ControlOrder } from "./order.ts";

function carryOut(order: ControlOrder): void {
  switch (order.verb) {
    case "jump-clock":
      jumpClock(order.ms);
  }
}

process.on("message", ({ id, order }: ControlMessage) => {
  const answer = (): ControlAnswer => {
    try {
      carryOut(order);
      return { id };
    } catch (error) {
      return { id, error: String(error) };
    }
  };
  process.send?.(answer());
});
// A test that was killed must leave nothing behind.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// Nor may the channel keep a process alive that has nothing else to do.
process.channel?.unref();
