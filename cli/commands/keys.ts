// `mycel keys`: the API keys with which programs call the mesh.
import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type ApiKey, ApiKeySchema } from "../../gen/mycel/v1/api_key_pb.ts";
import { CreateKeyResponseSchema } from "../../gen/mycel/v1/key_service_pb.ts";
import { durationFromMs } from "../../lib/wire/time-codec.ts";
import { type CliContext, examples, openClient } from "../context.ts";
import { durationOption, repeatedOption } from "../option-values.ts";
import { jsonDocument, jsonOf } from "../output/json.ts";
import { keyColumns, keyFacts } from "../output/key-view.ts";
import { renderFacts, renderTable } from "../output/table.ts";

const PAGE_SIZE = 1_000;

interface CommonFlags {
  readonly json?: boolean;
  readonly tenant?: string;
}

/** The command. */
export function keysCommand(context: CliContext): Command {
  const command = new Command("keys")
    .summary("API keys: create, list and revoke them")
    .helpCommand("help [command]", "print help for a command")
    .description(
      "Create, list and revoke the API keys with which programs call the mesh. A program presents its key as MYCEL_API_KEY, or in the " +
        "header `authorization: Bearer`. The first key of a mesh is created with the operator's own, which the coordinator is given as " +
        "MYCEL_ADMIN_KEY.",
    )
    .addHelpText(
      "after",
      examples(
        `export MYCEL_API_KEY="$MYCEL_ADMIN_KEY"`,
        "mycel keys create --role admin --tenant acme",
        "mycel keys create --role submitter --description 'nightly runs' --lifetime 90d",
        "mycel keys revoke 0123456789abcdef",
      ),
    );
  for (const sub of [createCommand(context), listCommand(context), revokeCommand(context)]) {
    command.addCommand(sub);
  }
  return command;
}

function createCommand(context: CliContext): Command {
  return new Command("create")
    .summary("make a key and print it")
    .description("Make a key and print it. It is not shown again. It can't allow more than whoever makes it may do.")
    .requiredOption(
      "--role <role>",
      "what its holder may do: a role of the policy, e.g. submitter or agent; repeatable",
      repeatedOption,
    )
    .option("--description <text>", "what it is for")
    .option(
      "--lifetime <duration>",
      "how long it is good, e.g. 90d, at most 3650d (default: until it is revoked)",
      durationOption,
    )
    .option("--tenant <tenant>", "the tenant of its holder; another one than your own only with the operator's key")
    .option("--json", "print JSON")
    .action(
      async (
        flags: CommonFlags & {
          readonly role: readonly string[];
          readonly description?: string;
          readonly lifetime?: number;
        },
        command: Command,
      ) => {
        await using client = openClient(command);
        const lifetime = flags.lifetime === undefined ? {} : { lifetime: durationFromMs(flags.lifetime) };
        const { role, description = "", tenant = "" } = flags;
        const request = { roles: [...role], description, tenant, ...lifetime };
        const made = await client.keys.createKey(request, { signal: context.interrupted });
        if (flags.json === true) {
          return await context.out.line(jsonDocument(jsonOf(CreateKeyResponseSchema, made)));
        }
        const { key = create(ApiKeySchema), secret } = made;
        const facts = keyFacts(context.out, key, new Date()).filter(([name]) => name !== "state");
        await context.out.line(renderFacts(context.out, [...facts, ["secret", secret]]));
        if (context.err.isTerminal) {
          await context.err.line(context.err.colors.dim("Keep the secret: it is not shown again."));
        }
      },
    );
}

function listCommand(context: CliContext): Command {
  return new Command("list")
    .summary("the keys")
    .description("List the keys, ordered by id, without their secrets.")
    .option("--all", "also those that were revoked or have expired in the last 30 days")
    .option("--tenant <tenant>", "of this tenant; of another one than your own only with the operator's key")
    .option("--json", "print JSON")
    .action(async (flags: CommonFlags & { readonly all?: boolean }, command: Command) => {
      await using client = openClient(command);
      const filter = { includeEnded: flags.all === true, tenant: flags.tenant ?? "" };
      const keys: ApiKey[] = [];
      let pageToken = "";
      do {
        const request = { ...filter, pageSize: PAGE_SIZE, pageToken };
        const page = await client.keys.listKeys(request, { signal: context.interrupted });
        keys.push(...page.keys);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      if (flags.json === true) {
        return await context.out.line(jsonDocument({ keys: keys.map((key) => jsonOf(ApiKeySchema, key)) }));
      }
      if (keys.length === 0) return await context.err.line("no keys");
      await context.out.line(renderTable(context.out, keyColumns(context.out, new Date()), keys));
    });
}

function revokeCommand(context: CliContext): Command {
  return new Command("revoke")
    .summary("revoke keys for good")
    .description("Revoke keys for good: within a second they are refused everywhere, and what they have open ends.")
    .argument("<keys...>", "the ids of the keys")
    .option("--tenant <tenant>", "of this tenant; of another one than your own only with the operator's key")
    .option("--json", "print JSON")
    .action(async (keyIds: readonly string[], flags: CommonFlags, command: Command) => {
      await using client = openClient(command);
      const revoked: ApiKey[] = [];
      for (const keyId of keyIds) {
        const request = { keyId, tenant: flags.tenant ?? "" };
        const { key } = await client.keys.revokeKey(request, { signal: context.interrupted });
        if (key !== undefined) revoked.push(key);
      }
      if (flags.json === true) {
        return await context.out.line(jsonDocument({ keys: revoked.map((key) => jsonOf(ApiKeySchema, key)) }));
      }
      for (const key of revoked) {
        await context.out.line(renderFacts(context.out, keyFacts(context.out, key, new Date())));
      }
    });
}
