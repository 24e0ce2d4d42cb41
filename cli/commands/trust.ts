// `mycel trust`: makes whom a mesh's nats-servers trust, and what proves to be trusted. Works on files alone.
import { join, relative, resolve } from "node:path";
import { Command } from "commander";
import { makeTrust, renewTrust, TRUST_FILES, TrustError } from "../../lib/nats/trust/trust-folder.ts";
import { type CliContext, examples, printerOf } from "../context.ts";
import { UsageError } from "../failure.ts";

/** The command. */
export function trustCommand(context: CliContext): Command {
  const trust = new Command("trust")
    .summary("whom the nats-servers of a mesh trust")
    .description("Make whom the nats-servers of a mesh trust, and what proves to be trusted.")
    .addHelpText("after", examples("mycel trust init ./trust", "mycel trust renew ./trust"));
  trust
    .command("init")
    .summary("make the keys and credentials of a mesh in a new folder")
    .description("Make the keys and credentials of a mesh in a new folder. Nothing secret is printed.")
    .argument("<dir>", "the folder to make")
    .action(async (dir: string, _options: object, command: Command) => {
      // Whoever asks for calls to print gets no folder instead.
      if (printerOf(command) === undefined) await init(context, dir);
    });
  trust
    .command("renew")
    .summary("replace every key and credential but the identities")
    .description(
      "Replace every key and credential of a mesh but the identities in root/, into the folder <dir>.new. Needs the whole folder.",
    )
    .argument("<dir>", "the folder that init made")
    .action(async (dir: string, _options: object, command: Command) => {
      if (printerOf(command) === undefined) await renew(context, dir);
    });
  return trust;
}

async function renew({ out }: CliContext, dir: string): Promise<void> {
  const next = await renewTrust(resolve(dir), Date.now()).catch((error: unknown) => {
    throw isMistake(error) ? new UsageError(error.message) : error;
  });
  await out.line(`made ${next}. Put it to use in this order; agents pause meanwhile, and nothing is lost:`);
  await out.line(`1. replace the folder of every coordinator by ${join(next, TRUST_FILES.coordinator)}`);
  await out.line(
    `2. replace trust.conf of every nats-server by ${join(next, TRUST_FILES.server)}, and restart one after the other`,
  );
  await out.line("3. restart the coordinators one after the other");
}

async function init({ out }: CliContext, dir: string): Promise<void> {
  await makeTrust(resolve(dir), Date.now()).catch((error: unknown) => {
    throw isMistake(error) ? new UsageError(error.message) : error;
  });
  const at = (part: string): string => {
    const path = relative("", join(resolve(dir), part));
    return path.startsWith("..") ? join(resolve(dir), part) : path;
  };
  await out.line(`${at(TRUST_FILES.server)}  what every nats-server includes; nothing in it is secret`);
  await out.line(
    `${at(TRUST_FILES.coordinator)}  what every coordinator holds (MYCEL_NATS_TRUST); readable by it alone`,
  );
  await out.line(`${at(TRUST_FILES.admin)}  for people with tools, who may do everything in the mesh's account`);
  await out.line(
    `${at(TRUST_FILES.root)}  the identities behind all this: keep them in a safe, nothing that runs needs them`,
  );
}

/** What the user can mend: a folder that is there, or that cannot be made. */
function isMistake(error: unknown): error is Error {
  return error instanceof TrustError || (error instanceof Error && "code" in error && typeof error.code === "string");
}
