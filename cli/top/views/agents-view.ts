// The agents: how each is, how busy, what it can do, when it was last heard of.
import type { ReactElement } from "react";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { harmless } from "../../output/terminal.ts";
import type { AgentFacts } from "../data/snapshot.ts";
import { ageText, barText, percentText, rateText } from "../draw/figures.ts";
import { table, type TableColumn } from "../draw/table.ts";
import type { Tone } from "../draw/words.ts";
import type { PanelContent } from "./panel-content.ts";
import type { View } from "./view.ts";

const BAR = 8;
// Three heartbeats that were missed.
const STALE_MS = 15_000;

const TONES: Readonly<Record<AgentFacts["condition"], Tone>> = { active: "good", draining: "warn", lost: "bad" };

/** The agents' panel. */
export const agentsContent: PanelContent = {
  title: "Agents",
  aside({ snapshot }) {
    const agents = snapshot.agents.value ?? [];
    const of = (condition: AgentFacts["condition"]): number =>
      agents.filter((one) => one.condition === condition).length;
    const registered = agents.filter(({ condition }) => condition !== "lost");
    const sum = (value: (facts: AgentFacts) => number): number =>
      registered.reduce((total, one) => total + value(one), 0);
    const counts = (["active", "draining", "lost"] as const).flatMap((each) =>
      of(each) === 0 ? [] : `${of(each)} ${each}`,
    );
    const busy = `${sum(({ agent }) => agent.running)} of ${sum(({ agent }) => agent.concurrency)} slots busy`;
    return agents.length === 0 ? "" : [...counts, busy].join(", ");
  },
  told: ({ snapshot }) => snapshot.agents,
  count: ({ snapshot }) => snapshot.agents.value?.length ?? 0,
  body: (view, room): ReactElement =>
    table({
      ...room,
      columns: columnsFor(view),
      rows: view.snapshot.agents.value ?? [],
      none: view.model.types.length === 0 ? "none is registered: tasks will wait" : "none can run this type",
    }),
};

function columnsFor({ nowMs, snapshot }: View): TableColumn<AgentFacts>[] {
  const [lately, now] = [snapshot.metrics, snapshot.pulse].map(
    ({ value }) => new Map((value?.agents ?? []).map(({ agentId, metrics }) => [agentId, metrics])),
  );
  const successOf = ({ agent }: AgentFacts): number | undefined => lately?.get(agent.agentId)?.successRate;
  const heardMs = ({ agent }: AgentFacts): number => nowMs - (msFromTimestamp(agent.heartbeatTime) ?? nowMs);
  const measured: TableColumn<AgentFacts>[] = snapshot.metrics.served
    ? [
        {
          head: "ENDED/s",
          text: ({ agent }) => rateText(now?.get(agent.agentId)?.endRate ?? 0),
          right: true,
          spare: 5,
        },
        {
          head: "OK",
          text: (facts) => okText(successOf(facts)),
          tone: (facts) => ((successOf(facts) ?? 1) < 0.95 ? "warn" : "plain"),
          right: true,
          spare: 4,
        },
      ]
    : [];
  return [
    { head: "AGENT", text: ({ agent }) => harmless(agent.agentId), least: 8, most: 36 },
    { head: "NAME", text: ({ agent }) => nameOf(agent), least: 6, most: 24, tone: () => "dim", spare: 6 },
    { head: "STATE", text: ({ condition }) => condition, tone: ({ condition }) => TONES[condition] },
    {
      head: "LOAD",
      text: ({ agent: { running, concurrency } }) => barText(running / Math.max(1, concurrency), BAR),
      tone: ({ agent: { running, concurrency } }) => (running >= concurrency ? "warn" : "accent"),
      picture: true,
      spare: 2,
    },
    { head: "BUSY", text: ({ agent: { running, concurrency } }) => `${running}/${concurrency}`, right: true },
    ...measured,
    {
      head: "HEARD",
      text: (facts) => ageText(heardMs(facts)),
      tone: (facts) => (heardMs(facts) > STALE_MS ? "warn" : "plain"),
      right: true,
    },
    {
      head: "CAN DO",
      text: ({ agent }) => agent.capabilities.map(({ type }) => harmless(type)).join(" "),
      tone: () => "dim",
      least: 8,
      grows: true,
      spare: 3,
    },
  ];
}

function nameOf({ name, version }: AgentFacts["agent"]): string {
  return harmless(version === "" ? name : `${name} ${version}`);
}

function okText(share: number | undefined): string {
  return share === undefined ? "–" : percentText(share);
}
