// Submissions that meet a broker which does not answer: held, but not for ever, and not without bound.
import { expect, test } from "vitest";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { OutageHold } from "../../../services/coordinator/submission/outage-hold.ts";

const away = (): MeshError => new MeshError("BROKER_UNAVAILABLE", "the log can't be reached now");
const monotonicMs = (): number => performance.now();

test("work is repeated until the broker answers", async () => {
  let tries = 0;
  const work = async (): Promise<string> => {
    tries += 1;
    if (tries < 3) throw away();
    return await Promise.resolve("stored");
  };
  expect(await new OutageHold(60_000, monotonicMs).over(work)).toBe("stored");
  expect(tries).toBe(3);
});

test("a broker that stays away is told when the time is up", async () => {
  let nowMs = 0;
  const work = async (): Promise<string> => {
    nowMs += 400;
    return await Promise.reject(away());
  };
  await expect(new OutageHold(1_000, () => nowMs).over(work)).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  expect(nowMs).toBe(1_200);
});

test.for([
  ["any other refusal", new MeshError("QUEUE_FULL", "queue work is full")],
  ["a defect", new TypeError("undefined is not a function")],
])("%s is not held", async ([, error]) => {
  let tries = 0;
  const work = async (): Promise<string> => {
    tries += 1;
    return await Promise.reject(error);
  };
  await expect(new OutageHold(60_000, monotonicMs).over(work)).rejects.toBe(error);
  expect(tries).toBe(1);
});

test("no more than 10,000 are held at once; the next one is refused at once, until there is room again", async () => {
  const hold = new OutageHold(60_000, monotonicMs);
  let back = false;
  const work = async (): Promise<string> => await (back ? Promise.resolve("stored") : Promise.reject(away()));
  const held = Array.from({ length: 10_000 }, () => hold.over(work));
  await expect(hold.over(work)).rejects.toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  back = true;
  expect(new Set(await Promise.all(held))).toEqual(new Set(["stored"]));
  expect(await hold.over(work)).toBe("stored");
});
