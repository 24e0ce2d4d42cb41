// `mycel capabilities`: what the registered agents can do.
import { Command } from "commander";
import { type Agent, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import type { MeshCapability } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { Failed } from "../failure.ts";
import { jsonDocument } from "../output/json.ts";
import { type Column, renderFacts, renderTable } from "../output/table.ts";
import { harmless } from "../output/terminal.ts";

/** The command. */
export function capabilitiesCommand(context: CliContext): Command {
  return new Command("capabilities")
    .summary("what the registered agents can do")
    .description(
      "List the task types that the registered agents offer, or say who offers one. Agents that drain are not counted. " +
        "Exits with 1 if nobody offers the type.",
    )
    .argument("[type]", "a task type")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      examples("mycel capabilities", "mycel capabilities echo", "mycel capabilities --json | jq -r '.[].type'"),
    )
    .action(async (type: string | undefined, flags: { readonly json?: boolean }, command: Command) => {
      await using client = openClient(command);
      const found = await client.capabilities();
      if (type !== undefined) {
        const capability = found.get(type);
        if (capability === undefined) throw new Failed(noneText(type, [...found.keys()]));
        if (flags.json === true) return await context.out.line(jsonDocument(capability));
        const agents = await Array.fromAsync(client.agents({ type }, { pageSize: 1_000, signal: context.interrupted }));
        const offering = agents.filter(({ state }) => state === AgentState.ACTIVE);
        return await context.out.line(`${facts(context, capability)}\n\n${agentTable(context, offering)}`);
      }
      if (flags.json === true) return await context.out.line(jsonDocument([...found.values()]));
      if (found.size === 0) return await context.err.line("no agents are registered");
      await context.out.line(renderTable(context.out, COLUMNS, [...found.values()]));
    });
}

const COLUMNS: readonly Column<MeshCapability>[] = [
  { head: "TYPE", value: ({ type }) => type, minimum: 12 },
  { head: "AGENTS", value: ({ agents }) => String(agents).padStart(6) },
  { head: "SLOTS", value: ({ concurrency }) => String(concurrency).padStart(5) },
  { head: "BUSY", value: ({ running }) => String(running).padStart(4) },
  { head: "QUEUE", value: ({ queues }) => queues.join(", "), minimum: 8 },
  { head: "WHAT IT DOES", value: ({ description }) => description, minimum: 12 },
];

function facts({ out }: CliContext, capability: MeshCapability): string {
  const { type, description, queues, agents, concurrency, running } = capability;
  return renderFacts(out, [
    ["type", type],
    ["does", harmless(description)],
    ["queue", queues.join(", ")],
    ["agents", String(agents)],
    ["slots", `${concurrency}, ${running} of them busy, for all that these agents can do`],
  ]);
}

function agentTable({ out }: CliContext, agents: readonly Agent[]): string {
  const columns: Column<Agent>[] = [
    { head: "AGENT", value: ({ agentId }) => agentId },
    { head: "NAME", value: ({ name, version }) => (version === "" ? name : `${name} ${version}`), minimum: 8 },
    { head: "BUSY", value: ({ running, concurrency }) => `${running}/${concurrency}` },
  ];
  return renderTable(out, columns, agents);
}

function noneText(type: string, types: readonly string[]): string {
  const others = types.length === 0 ? "no agents are registered" : `there are ${types.join(", ")}`;
  return `no registered agent can do ${JSON.stringify(type)}: ${others}`;
}
