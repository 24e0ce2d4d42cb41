// Owns the folder of trust: what is made once for a mesh, which file holds what, and that nobody else can read the secrets in it.
//
//   root/        the identities of operator and accounts. Nothing that runs needs them: keep them somewhere safe.
//   coordinator/ what coordinators hold: the only secrets of the bus that a running mesh needs
//   nats/        what the servers are told: public
//   people/      credentials for people with tools, who may do everything in the mesh's account

import { randomUUID } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  agentsAccountClaims,
  meshAccountClaims,
  operatorClaims,
  systemAccountClaims,
  type TrustIds,
} from "./accounts.ts";
import { signClaims } from "./claims.ts";
import { claimsPermissions, COORDINATOR_PERMISSIONS } from "./mesh-permissions.ts";
import { type ServerTrust, serverTrustLines } from "./server-trust.ts";
import { isPublicKey, type KeyKind, SigningKey } from "./signing-key.ts";
import { makeUserCredentials } from "./user-credentials.ts";

/** The files of a folder of trust, from its top. */
export const TRUST_FILES = {
  /** The configuration that a server includes. */
  server: "nats/trust.conf",
  /** The same for programs. */
  serverJson: "nats/trust.json",
  /** Credentials of somebody who may do everything in the mesh's account. */
  admin: "people/admin.creds",
  /** What coordinators get, as a folder of its own. */
  coordinator: "coordinator",
  /** The identities of operator and accounts. */
  root: "root",
} as const;

/** The files of a coordinator's folder. */
const COORDINATOR_FILES = {
  ids: "trust.json",
  credentials: "coordinator.creds",
  system: "system.creds",
  agentsSigning: "agents-signing.nk",
  operatorSigning: "operator-signing.nk",
} as const;

/** A folder of trust is not what it must be. The message is one line for the operator, without any secret. */
export class TrustError extends Error {
  override readonly name = "TrustError";
}

/** What a coordinator holds. */
export interface CoordinatorTrust {
  readonly ids: TrustIds;
  /** The file of its own credentials on the bus. */
  readonly credentialsFile: string;
  /** The file of its credentials in the servers' account. */
  readonly systemFile: string;
  /** Signs agents' credentials. */
  readonly agentsSigning: SigningKey;
  /** Signs accounts. */
  readonly operatorSigning: SigningKey;
}

/**
 * Makes all keys and credentials of a mesh in a folder, which must not exist or be empty of them: whoever replaced them would lock everybody
 * out. The folder is there in whole, or not at all. Throws TrustError, and what the file system throws.
 */
export async function makeTrust(dir: string, nowMs: number): Promise<void> {
  if (await exists(dir)) throw new TrustError(`${dir} is there already: trust is made once, in a new folder`);
  const issuedAtS = Math.floor(nowMs / 1_000);
  const [operator, operatorSigning] = [SigningKey.create("O"), SigningKey.create("O")];
  const [system, mesh] = [SigningKey.create("A"), SigningKey.create("A")];
  const [agents, agentsSigning] = [SigningKey.create("A"), SigningKey.create("A")];
  const ids: TrustIds = {
    operator: operator.publicKey,
    system: system.publicKey,
    mesh: mesh.publicKey,
    agents: agents.publicKey,
  };
  const state = { signingKeys: [agentsSigning.publicKey], revoked: {}, issuedAtS };
  const accounts = [
    systemAccountClaims(ids, issuedAtS),
    meshAccountClaims(ids, issuedAtS),
    agentsAccountClaims(ids, state),
  ];
  const server: ServerTrust = {
    operator: signClaims(operatorClaims(ids, [operatorSigning.publicKey], issuedAtS), operator),
    systemAccount: ids.system,
    meshAccount: ids.mesh,
    accounts: Object.fromEntries(accounts.map((claims) => [claims.subject, signClaims(claims, operatorSigning)])),
  };
  const user = (name: string, account: SigningKey, permissions?: typeof COORDINATOR_PERMISSIONS): string =>
    makeUserCredentials({ name, account, permissions, issuedAtS });
  const mine = COORDINATOR_FILES;
  const files: Readonly<Record<string, string>> = {
    [`${TRUST_FILES.root}/operator.nk`]: operator.seed,
    [`${TRUST_FILES.root}/system-account.nk`]: system.seed,
    [`${TRUST_FILES.root}/mesh-account.nk`]: mesh.seed,
    [`${TRUST_FILES.root}/agents-account.nk`]: agents.seed,
    [TRUST_FILES.server]: confOf(server),
    [TRUST_FILES.serverJson]: JSON.stringify(server, null, 2),
    [TRUST_FILES.admin]: user("admin", mesh),
    [`${TRUST_FILES.coordinator}/${mine.ids}`]: JSON.stringify(ids, null, 2),
    [`${TRUST_FILES.coordinator}/${mine.credentials}`]: user("coordinator", mesh, COORDINATOR_PERMISSIONS),
    [`${TRUST_FILES.coordinator}/${mine.system}`]: user("coordinator", system, claimsPermissions(ids.agents)),
    [`${TRUST_FILES.coordinator}/${mine.agentsSigning}`]: agentsSigning.seed,
    [`${TRUST_FILES.coordinator}/${mine.operatorSigning}`]: operatorSigning.seed,
  };
  const half = `${dir}.${randomUUID()}.new`;
  try {
    await writeAll(half, files);
    await rename(half, dir);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
}

/** What a server is told by a folder of trust. Throws TrustError. */
export async function readServerTrust(dir: string): Promise<ServerTrust> {
  const file = join(dir, TRUST_FILES.serverJson);
  const found = await readJson(file);
  const { operator, systemAccount, meshAccount, accounts } = found;
  if (typeof operator !== "string" || !isTexts(accounts)) throw notTrust(file);
  return {
    operator,
    systemAccount: keyIn(systemAccount, "A", file),
    meshAccount: keyIn(meshAccount, "A", file),
    accounts,
  };
}

/** Reads a coordinator's folder, `coordinator/` of the whole. Throws TrustError, also when others can read its secrets. */
export async function readCoordinatorTrust(dir: string): Promise<CoordinatorTrust> {
  const file = join(dir, COORDINATOR_FILES.ids);
  const { operator, system, mesh, agents } = await readJson(file);
  const [credentialsFile, systemFile] = [COORDINATOR_FILES.credentials, COORDINATOR_FILES.system].map((name) =>
    join(dir, name),
  );
  if (credentialsFile === undefined || systemFile === undefined) throw notTrust(file);
  for (const secret of [credentialsFile, systemFile]) await refuseReadable(secret);
  return {
    ids: {
      operator: keyIn(operator, "O", file),
      system: keyIn(system, "A", file),
      mesh: keyIn(mesh, "A", file),
      agents: keyIn(agents, "A", file),
    },
    credentialsFile,
    systemFile,
    agentsSigning: await readSeed(join(dir, COORDINATOR_FILES.agentsSigning), "A"),
    operatorSigning: await readSeed(join(dir, COORDINATOR_FILES.operatorSigning), "O"),
  };
}

/** The file of a coordinator's own credentials in its folder of trust. */
export function coordinatorCredentials(dir: string): string {
  return join(dir, COORDINATOR_FILES.credentials);
}

/** Whether there is a file or folder of this name. */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

function confOf(server: ServerTrust): string {
  const head = [
    "# Whom this server trusts; the same on all servers of a mesh. Made by `mycel trust init`. Nothing in it is secret.",
    "# NATS_RESOLVER_DIR: a folder of this server's own, beside its store, for what changes of it.",
  ];
  return [...head, ...serverTrustLines(server, "$NATS_RESOLVER_DIR"), ""].join("\n");
}

async function writeAll(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(dir, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, text.endsWith("\n") ? text : `${text}\n`, { mode: 0o600 });
  }
  // The servers may run as somebody else, and hold nothing that is secret.
  await chmod(join(dir, TRUST_FILES.server), 0o644);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new TrustError(`${file} can't be read (${why}): is this a folder that "mycel trust init" made?`, { cause });
  }
}

async function readJson(file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(file);
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // Said below.
  }
  throw notTrust(file);
}

async function readSeed(file: string, kind: KeyKind): Promise<SigningKey> {
  await refuseReadable(file);
  const text = await readText(file);
  try {
    return new SigningKey(text, kind);
  } catch (error) {
    throw new TrustError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A secret that the group or everybody can read is none. Mounted secrets of orchestrators are often readable by the group alone. */
async function refuseReadable(file: string): Promise<void> {
  const { mode } = await stat(file).catch(async () => ({ mode: (await readText(file), 0) }));
  if ((mode & 0o007) !== 0) throw new TrustError(`${file} can be read by everybody: chmod 600 it`);
}

function keyIn(value: unknown, kind: KeyKind, file: string): string {
  if (typeof value !== "string" || !isPublicKey(value, kind)) throw notTrust(file);
  return value;
}

function notTrust(file: string): TrustError {
  return new TrustError(`${file} does not hold what "mycel trust init" writes there`);
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
