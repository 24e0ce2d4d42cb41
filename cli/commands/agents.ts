// `mycel agents`: who is there to work.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type Agent, AgentSchema, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import { AgentChange, WatchAgentsResponseSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { FleetEvent } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { jsonDocument, jsonLine, jsonOf } from "../output/json.ts";
import { type Column, renderTable } from "../output/table.ts";
import { dateOf } from "../output/task-view.ts";
import { cut, harmless } from "../output/terminal.ts";

const CHANGES: Readonly<Record<FleetEvent["kind"], AgentChange>> = {
  added: AgentChange.ADDED,
  updated: AgentChange.UPDATED,
  removed: AgentChange.REMOVED,
  lost: AgentChange.LOST,
  synced: AgentChange.SYNCED,
};

interface AgentsFlags {
  readonly type?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** The command. */
export function agentsCommand(context: CliContext): Command {
  return new Command("agents")
    .summary("the registered agents")
    .description("List the registered agents, or print every change of the fleet.")
    .option("--type <type>", "only those with this capability")
    .option("--watch", "stay and print every change")
    .option("--json", "print JSON; with --watch one object a line")
    .addHelpText("after", examples("mycel agents --type echo", "mycel agents --watch"))
    .action(async (flags: AgentsFlags, command: Command) => {
      await using client = openClient(command);
      const filter = flags.type === undefined ? {} : { type: flags.type };
      const signal = context.interrupted;
      if (flags.watch === true) {
        for await (const event of client.watchAgents(filter, { signal })) {
          await context.out.line(flags.json === true ? jsonLine(jsonOfEvent(event)) : eventLine(context, event));
        }
        return;
      }
      const agents = await Array.fromAsync(client.agents(filter, { pageSize: 1000, signal }));
      if (flags.json === true) {
        return await context.out.line(jsonDocument({ agents: agents.map((agent) => jsonOf(AgentSchema, agent)) }));
      }
      if (agents.length === 0) {
        const wanted = flags.type === undefined ? "" : ` for ${JSON.stringify(flags.type)}`;
        return await context.err.line(`no agents are registered${wanted}`);
      }
      await context.out.line(renderTable(context.out, columns(context), agents));
    });
}

function columns({ out }: CliContext): Column<Agent>[] {
  return [
    { head: "AGENT", value: ({ agentId }) => agentId, minimum: 12 },
    { head: "NAME", value: ({ name, version }) => (version === "" ? name : `${name} ${version}`), minimum: 8 },
    {
      head: "STATE",
      value: ({ state }) => stateOf(state),
      paint: (text, { state }) => (state === AgentState.ACTIVE ? out.colors.green(text) : out.colors.yellow(text)),
    },
    { head: "BUSY", value: ({ running, concurrency }) => `${running}/${concurrency}` },
    { head: "CAN DO", value: canDo, minimum: 10 },
    { head: "HEARD", value: ({ heartbeatTime }) => out.time(dateOf(heartbeatTime)) },
  ];
}

function eventLine({ out }: CliContext, event: FleetEvent): string {
  const time = out.isTerminal ? new Date().toLocaleTimeString("en-GB", { hour12: false }) : new Date().toISOString();
  const { green, red, dim, yellow } = out.colors;
  const paint = { added: green, updated: dim, removed: yellow, lost: red, synced: dim }[event.kind];
  const text =
    event.kind === "synced"
      ? "these are all; changes follow"
      : `${event.agent.agentId}  ${stateOf(event.agent.state)}  ${event.agent.running}/${event.agent.concurrency}  ${canDo(event.agent)}`;
  return `${dim(time)}  ${paint(event.kind.padEnd(7))}  ${cut(harmless(text), out.columns - time.length - 11)}`;
}

function jsonOfEvent(event: FleetEvent): unknown {
  const agent = event.kind === "synced" ? {} : { agent: event.agent };
  return jsonOf(
    WatchAgentsResponseSchema,
    create(WatchAgentsResponseSchema, { change: CHANGES[event.kind], ...agent }),
  );
}

function canDo({ capabilities }: Agent): string {
  return capabilities.map(({ type }) => type).join(", ");
}

function stateOf(state: AgentState): string {
  if (state === AgentState.ACTIVE) return "active";
  return state === AgentState.DRAINING ? "draining" : String(state);
}
