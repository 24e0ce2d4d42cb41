// `mycel webhooks`: where the states of tasks are delivered, and what became of each delivery.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import {
  type WebhookDelivery,
  WebhookDeliverySchema,
  type WebhookDeliveryState,
  type WebhookEndpoint,
  WebhookEndpointSchema,
} from "../../gen/mycel/v1/webhook_pb.ts";
import {
  CreateWebhookEndpointResponseSchema,
  RotateWebhookSecretResponseSchema,
  TestWebhookEndpointResponseSchema,
} from "../../gen/mycel/v1/webhook_service_pb.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import type { MycelClient } from "../../sdk/client/index.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { Failed, UsageError } from "../failure.ts";
import { countOption, durationOption, wordsOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { renderFacts, renderTable } from "../output/table.ts";
import { dateOf } from "../output/task-view.ts";
import { harmless } from "../output/terminal.ts";
import {
  attemptLine,
  DELIVERY_STATES,
  deliveryColumns,
  deliveryStateWord,
  type DeliveryStateWord,
  endpointColumns,
  paintDeliveryState,
} from "../output/webhook-view.ts";

const DEFAULT_LIMIT = 20;
const PAGE_SIZE = 1_000;
const STATE_WORDS: readonly DeliveryStateWord[] = ["pending", "delivered", "failed"];

interface JsonFlag {
  readonly json?: boolean;
}

/** The command. */
export function webhooksCommand(context: CliContext): Command {
  const command = new Command("webhooks")
    .summary("where task states are delivered, and what became of it")
    .helpCommand("help [command]", "print help for a command")
    .description("Manage webhook endpoints, and look into the deliveries to them.")
    .addHelpText(
      "after",
      examples(
        "mycel webhooks create https://example.com/hooks --id billing",
        `mycel submit echo '{"message":"hello"}' --webhook billing`,
        "mycel webhooks deliveries --state failed",
      ),
    );
  for (const sub of [
    listCommand(context),
    createCommand(context),
    deleteCommand(context),
    switchCommand(context, "enable"),
    switchCommand(context, "disable"),
    rotateCommand(context),
    testCommand(context),
    deliveriesCommand(context),
    redeliverCommand(context),
  ]) {
    command.addCommand(sub);
  }
  return command;
}

function listCommand(context: CliContext): Command {
  return new Command("list")
    .summary("the endpoints")
    .description("List the webhook endpoints, ordered by id.")
    .option("--json", "print JSON")
    .action(async (flags: JsonFlag, command: Command) => {
      await using client = openClient(command);
      const endpoints: WebhookEndpoint[] = [];
      let pageToken = "";
      do {
        const request = { pageSize: PAGE_SIZE, pageToken };
        const page = await client.webhooks.listWebhookEndpoints(request, { signal: context.interrupted });
        endpoints.push(...page.endpoints);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      if (flags.json === true) {
        const listed = endpoints.map((endpoint) => jsonOf(WebhookEndpointSchema, endpoint));
        return await context.out.line(jsonDocument({ endpoints: listed }));
      }
      if (endpoints.length === 0) return await context.err.line("no webhook endpoints");
      await context.out.line(renderTable(context.out, endpointColumns(context.out), endpoints));
    });
}

function createCommand(context: CliContext): Command {
  return new Command("create")
    .summary("make an endpoint and print its secret")
    .description("Make an endpoint and print its secret, which is not shown again.")
    .argument("<url>", "where to post")
    .option("--id <id>", "the endpoint's id")
    .option("--description <text>", "a note")
    .option("--secret <secret>", "sign with this one, whsec_ and base64, instead of one that is made up")
    .option("--json", "print JSON")
    .action(
      async (
        url: string,
        flags: JsonFlag & { readonly id?: string; readonly description?: string; readonly secret?: string },
        command: Command,
      ) => {
        await using client = openClient(command);
        const { id: endpointId = "", description = "", secret = "" } = flags;
        const request = { endpointId, url, description, secret };
        const made = await client.webhooks.createWebhookEndpoint(request, { signal: context.interrupted });
        if (flags.json === true) {
          return await context.out.line(jsonDocument(jsonOf(CreateWebhookEndpointResponseSchema, made)));
        }
        await printSecret(context, made.endpoint, made.secret);
      },
    );
}

function deleteCommand(context: CliContext): Command {
  return new Command("delete")
    .summary("delete an endpoint")
    .description("Delete an endpoint. What is due to it fails.")
    .argument("<endpoint>", "the endpoint's id")
    .action(async (endpointId: string, _flags: object, command: Command) => {
      await using client = openClient(command);
      await client.webhooks.deleteWebhookEndpoint({ endpointId }, { signal: context.interrupted });
    });
}

function switchCommand(context: CliContext, name: "enable" | "disable"): Command {
  const disabled = name === "disable";
  return new Command(name)
    .summary(disabled ? "withhold deliveries to an endpoint" : "deliver to an endpoint again")
    .description(
      disabled
        ? "Withhold deliveries to an endpoint: they fail, and can be redelivered once it is enabled again."
        : "Deliver to an endpoint again. What failed meanwhile is delivered by `mycel webhooks redeliver`.",
    )
    .argument("<endpoint>", "the endpoint's id")
    .action(async (endpointId: string, _flags: object, command: Command) => {
      await using client = openClient(command);
      await client.webhooks.updateWebhookEndpoint({ endpointId, disabled }, { signal: context.interrupted });
    });
}

function rotateCommand(context: CliContext): Command {
  return new Command("rotate")
    .summary("give an endpoint another secret and print it")
    .description("Give an endpoint another secret and print it. The former one goes on signing beside it for a while.")
    .argument("<endpoint>", "the endpoint's id")
    .option(
      "--overlap <duration>",
      "how long the former secret signs, e.g. 1h, at most 7d (default: 1d)",
      durationOption,
    )
    .option("--secret <secret>", "sign with this one, whsec_ and base64, instead of one that is made up")
    .option("--json", "print JSON")
    .action(
      async (
        endpointId: string,
        flags: JsonFlag & { readonly overlap?: number; readonly secret?: string },
        command: Command,
      ) => {
        await using client = openClient(command);
        const overlap = flags.overlap === undefined ? {} : { overlap: durationFromMs(flags.overlap) };
        const request = { endpointId, secret: flags.secret ?? "", ...overlap };
        const rotated = await client.webhooks.rotateWebhookSecret(request, { signal: context.interrupted });
        if (flags.json === true) {
          return await context.out.line(jsonDocument(jsonOf(RotateWebhookSecretResponseSchema, rotated)));
        }
        await printSecret(context, rotated.endpoint, rotated.secret);
      },
    );
}

function testCommand(context: CliContext): Command {
  return new Command("test")
    .summary("post a test to an endpoint and print what came back")
    .description(
      "Post a `webhook.test` event to an endpoint, now, and print what came back. Exits with 1 if it was not taken.",
    )
    .argument("<endpoint>", "the endpoint's id")
    .option("--json", "print JSON")
    .action(async (endpointId: string, flags: JsonFlag, command: Command) => {
      await using client = openClient(command, { timeoutMs: 30_000 });
      const tested = await client.webhooks.testWebhookEndpoint({ endpointId }, { signal: context.interrupted });
      if (flags.json === true) {
        await context.out.line(jsonDocument(jsonOf(TestWebhookEndpointResponseSchema, tested)));
      } else {
        const facts: [string, string][] = [
          ["delivery", tested.deliveryId],
          ["answer", tested.attempt === undefined ? "" : attemptLine(tested.attempt)],
          ["body", harmless(tested.attempt?.responseExcerpt ?? "")],
        ];
        await context.out.line(renderFacts(context.out, facts));
      }
      if (!tested.delivered) throw new Failed("");
    });
}

function deliveriesCommand(context: CliContext): Command {
  return new Command("deliveries")
    .summary("what became of deliveries")
    .description("List deliveries, newest first; or show one with its attempts and its body.")
    .argument("[delivery]", "the id of the delivery to show")
    .option("--endpoint <id>", "only to this endpoint")
    .option("--task <id>", "only about this task")
    .option("--state <states>", `only in these, of ${STATE_WORDS.join(", ")}`, wordsOption(STATE_WORDS))
    .option("--limit <n>", "how many at most", countOption, DEFAULT_LIMIT)
    .option("--json", "print JSON")
    .action(
      async (
        deliveryId: string | undefined,
        flags: JsonFlag & DeliveryFlags & { readonly limit: number },
        command: Command,
      ) => {
        if (deliveryId !== undefined) return await showDelivery(context, command, deliveryId, flags.json === true);
        await using client = openClient(command);
        const filter = {
          endpointId: flags.endpoint ?? "",
          taskId: flags.task ?? "",
          states: (flags.state ?? []).map((word) => DELIVERY_STATES[word]),
        };
        const deliveries = await deliveriesUpTo(context, client, filter, flags.limit + 1);
        const more = deliveries.length > flags.limit;
        await printDeliveries(context, deliveries.slice(0, flags.limit), more, flags.json === true);
      },
    );
}

interface DeliveryFlags {
  readonly endpoint?: string;
  readonly task?: string;
  readonly state?: readonly DeliveryStateWord[];
}

function redeliverCommand(context: CliContext): Command {
  return new Command("redeliver")
    .summary("start deliveries anew")
    .description(
      "Start deliveries anew, whatever became of them before: same id, same body. With --failed, all that failed to an endpoint, the oldest first.",
    )
    .argument("[deliveries...]", "the ids of the deliveries")
    .option("--failed <endpoint>", "all that failed to this endpoint")
    .addHelpText(
      "after",
      examples("mycel webhooks redeliver msg_task-1_42", "mycel webhooks redeliver --failed billing"),
    )
    .action(async (deliveryIds: readonly string[], flags: { readonly failed?: string }, command: Command) => {
      if (deliveryIds.length > 0 === (flags.failed !== undefined))
        throw new UsageError("name the deliveries to start anew, or an endpoint with --failed");
      await using client = openClient(command);
      const filter = { endpointId: flags.failed ?? "", taskId: "", states: [DELIVERY_STATES.failed] };
      const failed = flags.failed === undefined ? [] : await deliveriesUpTo(context, client, filter, Infinity);
      const ids = [...deliveryIds, ...failed.map(({ deliveryId }) => deliveryId).toReversed()];
      for (const deliveryId of ids) {
        await client.webhooks.redeliverWebhook({ deliveryId }, { signal: context.interrupted });
      }
      if (flags.failed !== undefined) await context.err.line(`started anew: ${ids.length}`);
    });
}

interface DeliveryFilter {
  readonly endpointId: string;
  readonly taskId: string;
  readonly states: WebhookDeliveryState[];
}

/** The newest deliveries, at most so many. */
async function deliveriesUpTo(
  context: CliContext,
  client: MycelClient,
  filter: DeliveryFilter,
  most: number,
): Promise<readonly WebhookDelivery[]> {
  const deliveries: WebhookDelivery[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(most - deliveries.length, PAGE_SIZE);
    const request = { ...filter, pageSize, pageToken };
    const page = await client.webhooks.listWebhookDeliveries(request, { signal: context.interrupted });
    deliveries.push(...page.deliveries);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && deliveries.length < most);
  return deliveries;
}

async function showDelivery(context: CliContext, command: Command, deliveryId: string, json: boolean): Promise<void> {
  await using client = openClient(command);
  const { delivery = create(WebhookDeliverySchema) } = await client.webhooks.getWebhookDelivery(
    { deliveryId },
    { signal: context.interrupted },
  );
  if (json) return await context.out.line(jsonDocument(jsonOf(WebhookDeliverySchema, delivery)));
  const { out } = context;
  const facts: [string, string][] = [
    ["delivery", delivery.deliveryId],
    ["event", delivery.eventType],
    ["endpoint", delivery.endpointId],
    ["task", delivery.taskId],
    ["state", paintDeliveryState(context.out, deliveryStateWord(delivery), delivery)],
    ["created", out.time(dateOf(delivery.createTime))],
    ["next try", out.time(dateOf(delivery.nextAttemptTime))],
    ...delivery.attempts.map((attempt): [string, string] => [
      out.time(dateOf(attempt.startTime)),
      [attemptLine(attempt), harmless(attempt.responseExcerpt)].filter((part) => part !== "").join("  "),
    ]),
    ["body", harmless(delivery.body)],
  ];
  await out.line(renderFacts(out, facts));
}

async function printDeliveries(
  context: CliContext,
  deliveries: readonly WebhookDelivery[],
  more: boolean,
  json: boolean,
): Promise<void> {
  if (json) {
    const listed = deliveries.map((delivery) => jsonOf(WebhookDeliverySchema, delivery));
    return await context.out.line(jsonDocument({ deliveries: listed, more }));
  }
  if (deliveries.length === 0) return await context.err.line("no deliveries");
  await context.out.line(renderTable(context.out, deliveryColumns(context.out), deliveries));
  if (more) await context.err.line(`There are more than these ${deliveries.length}; see further with --limit`);
}

/** The secret goes out in a form that scripts can read, too; nothing else of the command is as precious. */
async function printSecret(context: CliContext, endpoint: WebhookEndpoint | undefined, secret: string): Promise<void> {
  const until = dateOf(endpoint?.formerSecretsExpireTime);
  const facts: [string, string][] = [
    ["endpoint", endpoint?.endpointId ?? ""],
    ["url", harmless(endpoint?.url ?? "")],
    ["secret", secret],
    ["former secrets until", until === undefined ? "" : context.out.time(until)],
  ];
  await context.out.line(renderFacts(context.out, facts));
  if (context.err.isTerminal) await context.err.line(context.err.colors.dim("Keep the secret: it is not shown again."));
}
