import { expect, test, vi } from "vitest";
import { Load } from "../../../bench/support/pace.ts";

async function take(names: AsyncIterator<string>, count: number): Promise<readonly string[]> {
  const taken: string[] = [];
  for (let i = 0; i < count; i += 1) taken.push(String((await names.next()).value));
  return taken;
}

test("a load gives out names at its rate, and knows when nobody took them in time", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout"], shouldAdvanceTime: true, advanceTimeDelta: 5 });
  try {
    const load = new Load("p", 1_000);
    const names = load.names();
    expect(await take(names, 3)).toEqual(["p-0", "p-1", "p-2"]);
    vi.advanceTimersByTime(10_000);
    load.end();
    expect(load.carriedShare).toBeLessThan(0.01);
  } finally {
    vi.useRealTimers();
  }
});
