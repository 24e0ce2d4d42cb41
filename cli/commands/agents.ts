// `mycel agents`: who is there to work.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type Agent, AgentSchema, AgentState } from "../../gen/mycel/v1/agent_pb.ts";
import {
  AgentChange,
  RevokeAgentResponseSchema,
  WatchAgentsResponseSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";
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
  readonly revoked?: boolean;
  readonly json?: boolean;
}

/** The command. */
export function agentsCommand(context: CliContext): Command {
  return new Command("agents")
    .summary("the registered agents; revoke and restore them")
    .helpCommand("help [command]", "print help for a command")
    .description("List the registered agents, print every change of the fleet, or shut an agent out.")
    .option("--type <type>", "only those with this capability")
    .option("--watch", "stay and print every change")
    .option("--revoked", "also those that are revoked")
    .option("--json", "print JSON; with --watch one object a line")
    .addHelpText(
      "after",
      examples(
        "mycel agents --type echo",
        "mycel agents --watch",
        "mycel agents revoke echo-1 --reason 'its machine was stolen'",
      ),
    )
    .addCommand(revokeCommand(context))
    .addCommand(restoreCommand(context))
    .action(async (flags: AgentsFlags, command: Command) => {
      await using client = openClient(command);
      const type = flags.type === undefined ? {} : { type: flags.type };
      const filter = flags.revoked === true ? { ...type, showRevoked: true } : type;
      const signal = context.interrupted;
      if (flags.watch === true) {
        for await (const event of client.watchAgents(type, { signal })) {
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

function revokeCommand(context: CliContext): Command {
  return new Command("revoke")
    .summary("shut an agent out")
    .description(
      "Shut an agent out until it is restored: the broker closes its connections, nothing that it reports counts, and others get its work.",
    )
    .argument("<agent-id>", "the agent, registered or not")
    .option("--reason <text>", "why, for people")
    .option("--json", "print JSON")
    .action(async (agentId: string, flags: { readonly reason?: string; readonly json?: boolean }, command: Command) => {
      await using client = openClient(command);
      const request = { agentId, reason: flags.reason ?? "" };
      const answer = await client.rpc.revokeAgent(request, { signal: context.interrupted });
      if (flags.json === true) return await context.out.line(jsonDocument(jsonOf(RevokeAgentResponseSchema, answer)));
      await context.out.line(`agent ${agentId} is revoked`);
    });
}

function restoreCommand(context: CliContext): Command {
  return new Command("restore")
    .summary("let a revoked agent in again")
    .description("Let a revoked agent register again. Start it anew, if it has stopped.")
    .argument("<agent-id>", "the agent")
    .action(async (agentId: string, _flags: unknown, command: Command) => {
      await using client = openClient(command);
      await client.rpc.restoreAgent({ agentId }, { signal: context.interrupted });
      await context.out.line(`agent ${agentId} may register again`);
    });
}

function columns({ out }: CliContext): Column<Agent>[] {
  return [
    { head: "AGENT", value: ({ agentId }) => agentId, minimum: 12 },
    { head: "NAME", value: ({ name, version }) => (version === "" ? name : `${name} ${version}`), minimum: 8 },
    {
      head: "STATE",
      value: ({ state }) => stateOf(state),
      paint: (text, { state }) => {
        if (state === AgentState.REVOKED) return out.colors.red(text);
        return state === AgentState.ACTIVE ? out.colors.green(text) : out.colors.yellow(text);
      },
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
  if (state === AgentState.REVOKED) return "revoked";
  return state === AgentState.DRAINING ? "draining" : String(state);
}
