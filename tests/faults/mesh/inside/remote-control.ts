// Preloaded into every agent and coordinator of a fault test: carries out what the test tells the process to do to itself, and ends the
// process when the test is gone. The product knows nothing of it.
import process from "node:process";
import "./redirect.ts";
// Before anything that could keep the true clock.
import { jumpClock } from "./shifted-clock.ts";
import { aboutTo, type FailPoint, hasTaken, noteIncoming, setFailPoint, stepCounts } from "./fail-points.ts";
import {
  type ControlAnswer,
  type ControlMessage,
  type ControlOrder,
  FAIL_POINT_VARIABLE,
  TAMPER_VARIABLE,
} from "./order.ts";
import { installTap } from "./tap.ts";
import { setRules, type TamperRule, timesIn, timesOut } from "./tampering.ts";
import { everywhere, listen } from "./threads.ts";

function carryOut(order: ControlOrder): Omit<ControlAnswer, "id"> {
  switch (order.verb) {
    case "jump-clock":
      jumpClock(order.ms);
      return {};
    case "fail-at":
      setFailPoint(order.point);
      return {};
    case "tamper":
      setRules(order.rules);
      return {};
    case "steps":
      return { steps: stepCounts() };
  }
}

function fromEnvironment(name: string): unknown {
  const text = process.env[name] ?? "";
  return text === "" ? undefined : JSON.parse(text);
}

// oxlint-disable typescript/no-unsafe-type-assertion -- member-process.ts writes it
setFailPoint(fromEnvironment(FAIL_POINT_VARIABLE) as FailPoint | undefined);
setRules((fromEnvironment(TAMPER_VARIABLE) ?? []) as TamperRule[]);
// oxlint-enable typescript/no-unsafe-type-assertion
installTap({
  outgoing: (step) => {
    aboutTo(step);
    return timesOut(step);
  },
  sent: hasTaken,
  incoming: (step) => {
    const waits = timesIn(step);
    noteIncoming(step, waits.length);
    return waits;
  },
  answering: aboutTo,
  answered: (step) => hasTaken(step, () => () => true),
});

async function answerTo({ id, order }: ControlMessage): Promise<ControlAnswer> {
  try {
    return { id, ...(await everywhere(order, carryOut)) };
  } catch (error) {
    return { id, error: String(error) };
  }
}

listen(carryOut);
process.on("message", (message: ControlMessage) => {
  void answerTo(message).then((answer) => process.send?.(answer));
});
// A test that was killed must leave nothing behind.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// Nor may the channel keep a process alive that has nothing else to do.
process.channel?.unref();
