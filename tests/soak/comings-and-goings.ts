// Whoever comes and goes during the soak: agents and a coordinator that are stopped or killed, and connections to the broker that are cut.
import { pause } from "../../lib/time/pause.ts";
import type { TestProcess } from "../support/processes.ts";

/** What comes and goes. */
export interface Visitors {
  readonly startAgent: (id: string) => Promise<TestProcess>;
  readonly startCoordinator: () => Promise<TestProcess>;
  /** Cuts the connections of one link to the broker. */
  readonly cuts: readonly (() => void)[];
}

/** How often each thing happened. */
export interface Happenings {
  agents: number;
  coordinators: number;
  cuts: number;
}

const AGENT_STAYS_MS = 12_000;
const COORDINATOR_STAYS_MS = 25_000;
const COORDINATOR_AWAY_MS = 35_000;
const CUT_EVERY_MS = 45_000;

/** Lets them come and go until the signal; resolves when all are gone. Each other one is killed instead of stopped. */
export async function comeAndGo(visitors: Visitors, happened: Happenings, signal: AbortSignal): Promise<void> {
  await Promise.all([
    agents(visitors, happened, signal),
    coordinators(visitors, happened, signal),
    cuts(visitors, happened, signal),
  ]);
}

async function agents({ startAgent }: Visitors, happened: Happenings, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    happened.agents += 1;
    const agent = await startAgent(`visitor-${happened.agents}`);
    await pause(AGENT_STAYS_MS, signal);
    await end(agent, happened.agents);
  }
}

async function coordinators({ startCoordinator }: Visitors, happened: Happenings, signal: AbortSignal): Promise<void> {
  while (await pause(COORDINATOR_AWAY_MS, signal)) {
    happened.coordinators += 1;
    const coordinator = await startCoordinator();
    await pause(COORDINATOR_STAYS_MS, signal);
    await end(coordinator, happened.coordinators);
  }
}

async function cuts(visitors: Visitors, happened: Happenings, signal: AbortSignal): Promise<void> {
  while (await pause(CUT_EVERY_MS, signal)) {
    visitors.cuts[happened.cuts % visitors.cuts.length]?.();
    happened.cuts += 1;
  }
}

async function end(member: TestProcess, number: number): Promise<void> {
  member.signal(number % 2 === 0 ? "SIGKILL" : "SIGTERM");
  await member.exited;
}
