// Who the command is, and whom it trusts: from its flags, and from the environment where a flag says nothing. Secrets come from variables and
// files only: what stands on a command line, everybody on the machine can read.
import { Command } from "commander";
import { resolveAccess, type AccessOptions, type ResolvedAccess } from "../sdk/access/access-options.ts";
import { accessFromEnvironment } from "../sdk/access/environment.ts";
import { silentLogger } from "../lib/core/logger.ts";
import { UsageError } from "./failure.ts";
import type { ShownSecurity } from "./grpcurl/grpcurl-call.ts";
import { repeatedOption } from "./option-values.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface AccessFlags {
  readonly tokenFile?: string;
  readonly apiKeyFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly pin?: readonly string[];
  readonly allowCleartextCredentials?: boolean;
}

/** Where a program keeps what {@link accessOf} reads. */
const ENVIRONMENT = "accessEnvironment";

/** Adds the options of access to the program. */
export function addAccessOptions(program: Command, env: Environment): Command {
  return program
    .option("--token-file <file>", "the file of the token to show (or MYCEL_TOKEN, MYCEL_TOKEN_FILE)")
    .option("--api-key-file <file>", "the file of the API key to show (or MYCEL_API_KEY, MYCEL_API_KEY_FILE)")
    .option("--ca <file>", "the authorities to trust, in PEM (or MYCEL_CA_FILE)")
    .option("--cert <file>", "the certificate to show, in PEM (or MYCEL_CERT_FILE)")
    .option("--key <file>", "its key, in PEM (or MYCEL_KEY_FILE)")
    .option("--server-name <name>", "the name that coordinators' certificates must have (or MYCEL_SERVER_NAME)")
    .option("--pin <pin>", "a public key that coordinators may have; can be repeated (or MYCEL_PINS)", repeatedOption)
    .option(
      "--allow-cleartext-credentials",
      "send credentials unencrypted to other machines, too (or MYCEL_ALLOW_CLEARTEXT_CREDENTIALS)",
    )
    .hook("preAction", (root) => void root.setOptionValue(ENVIRONMENT, env));
}

/** How the command's calls show who makes them. Throws UsageError where it is told two things. */
export function accessOf(command: Command): AccessOptions {
  try {
    return accessFromEnvironment(environmentOf(command));
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

/** The same, for a transport that is made by hand. Throws UsageError. */
export function resolvedAccessOf(command: Command, urls: readonly string[]): ResolvedAccess {
  try {
    return resolveAccess(accessOf(command), urls, silentLogger);
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

/** How a call of the command is shown as grpcurl's: with the names of variables and files, never with what is in them. */
export function shownSecurityOf(command: Command): ShownSecurity {
  const env = environmentOf(command);
  const credential = (["MYCEL_TOKEN", "MYCEL_API_KEY"] as const)
    .filter((name) => [env[name], env[`${name}_FILE`]].some((value) => value !== undefined && value !== ""))
    .map((variable) => ({ variable, file: env[`${variable}_FILE`] || undefined }))
    .at(0);
  return {
    caFile: env["MYCEL_CA_FILE"] || env["NODE_EXTRA_CA_CERTS"],
    certFile: env["MYCEL_CERT_FILE"],
    keyFile: env["MYCEL_KEY_FILE"],
    serverName: env["MYCEL_SERVER_NAME"],
    insecure: env["NODE_TLS_REJECT_UNAUTHORIZED"] === "0",
    credential,
  };
}

/** The environment as the flags have it. */
function environmentOf(command: Command): Environment {
  const flags = command.optsWithGlobals<AccessFlags & { readonly [ENVIRONMENT]?: Environment }>();
  const { tokenFile, apiKeyFile, pin, ...rest } = flags;
  const credential =
    tokenFile === undefined && apiKeyFile === undefined
      ? {}
      : {
          MYCEL_TOKEN: undefined,
          MYCEL_API_KEY: undefined,
          MYCEL_TOKEN_FILE: tokenFile,
          MYCEL_API_KEY_FILE: apiKeyFile,
        };
  return {
    ...flags[ENVIRONMENT],
    ...credential,
    ...(rest.ca === undefined ? {} : { MYCEL_CA_FILE: rest.ca }),
    ...(rest.cert === undefined ? {} : { MYCEL_CERT_FILE: rest.cert }),
    ...(rest.key === undefined ? {} : { MYCEL_KEY_FILE: rest.key }),
    ...(rest.serverName === undefined ? {} : { MYCEL_SERVER_NAME: rest.serverName }),
    ...(pin === undefined ? {} : { MYCEL_PINS: pin.join(",") }),
    ...(rest.allowCleartextCredentials === true ? { MYCEL_ALLOW_CLEARTEXT_CREDENTIALS: "true" } : {}),
  };
}
