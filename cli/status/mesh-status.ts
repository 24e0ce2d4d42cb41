// `mycel status` without a task: the mesh at a glance.
import { type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { AgentSchema } from "../../gen/mycel/v1/agent_pb.ts";
import { DeadLetterSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { Health } from "../../gen/health/v1/health_pb.ts";
import { MetricsSchema } from "../../gen/mycel/v1/metrics_service_pb.ts";
import { QueueSchema } from "../../gen/mycel/v1/queue_pb.ts";
import { type CliContext, openClient, printerOf, urlsOf } from "../context.ts";
import { Failed } from "../failure.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { coordinatorLines, meshView } from "./mesh-view.ts";
import { type HealthOf, type MeshSurvey, surveyMesh, type Told } from "./mesh-survey.ts";

/** Shows the mesh. Throws Failed when no coordinator serves. */
export async function showMesh(context: CliContext, command: Command, json: boolean): Promise<void> {
  const { out, interrupted } = context;
  const urls = urlsOf(command);
  await using client = openClient(command, { timeoutMs: 5_000, retry: { attempts: Math.max(1, urls.length) } });
  const printer = printerOf(command);
  for (const url of printer === undefined ? [] : urls) await printer?.printOne(url, Health.method.check, {});
  const health = printer === undefined ? await client.health() : undefined;
  if (health !== undefined && !json) await out.line(coordinatorLines(out, health));
  const survey = health?.healthy === false ? undefined : await surveyMesh(client, interrupted);
  if (health !== undefined && json) await out.line(jsonDocument(jsonOfMesh(health, survey)));
  else if (survey !== undefined) await out.line(`\n${meshView(out, survey, Date.now())}`);
  if (health?.healthy === false) throw new Failed("no coordinator serves");
}

function jsonOfMesh({ healthy, endpoints }: HealthOf, survey: MeshSurvey | undefined): unknown {
  const coordinators = endpoints.map(({ url, status, detail }) => ({ url, status, detail }));
  if (survey === undefined) return { healthy, coordinators };
  const { agents, tasks, queues, deadLetters, metrics } = survey;
  return {
    healthy,
    coordinators,
    agents: valueOf(agents, (all) => all.map(inJson(AgentSchema))),
    openTasks: valueOf(tasks, ({ total, byState, asOf }) => ({ total, byState: Object.fromEntries(byState), asOf })),
    queues: valueOf(queues, (all) => all.map(inJson(QueueSchema))),
    deadLettersOfLastHour: valueOf(deadLetters, ({ letters, more }) => ({
      letters: letters.map(inJson(DeadLetterSchema)),
      more,
    })),
    metrics: valueOf(metrics, (all) => (all === undefined ? null : jsonOf(MetricsSchema, all))),
  };
}

function inJson<Desc extends DescMessage>(schema: Desc): (message: MessageShape<Desc>) => unknown {
  return (message) => jsonOf(schema, message);
}

function valueOf<T>(told: Told<T>, json: (value: T) => unknown): unknown {
  return "error" in told ? { error: told.error } : json(told.value);
}
