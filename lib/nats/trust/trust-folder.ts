// Owns the folder of trust: what is made once for a mesh, which file holds what, and that nobody else can read the secrets in it.
//
//   root/        the identities of operator and accounts. Nothing that runs needs them: keep them somewhere safe.
//   coordinator/ what coordinators hold: the only secrets of the bus that a running mesh needs
//   nats/        what the servers are told: public
//   people/      credentials for people with tools, who may do everything in the mesh's account

import { randomUUID } from "node:crypto";
import { chmod, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  agentsAccountClaims,
  meshAccountClaims,
  operatorClaims,
  type RevokedKeys,
  systemAccountClaims,
  type TrustIds,
} from "./accounts.ts";
import { readClaims, signClaims } from "./claims.ts";
import { claimsPermissions, COORDINATOR_PERMISSIONS, type Permissions } from "./mesh-permissions.ts";
import { type ServerTrust, serverTrustLines } from "./server-trust.ts";
import { isPublicKey, type KeyKind, SigningKey } from "./signing-key.ts";
import { makeUserCredentials } from "./user-credentials.ts";
import { makeFolder } from "../../files/make-folder.ts";

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
 * Makes all keys and credentials of a mesh in a folder, which must not be there: whoever replaced one would lock everybody out. It is there in
 * whole, or not at all. Throws TrustError, and what the file system throws.
 */
export async function makeTrust(dir: string, nowMs: number): Promise<void> {
  if (await exists(dir)) throw new TrustError(`${dir} is there already: trust is made once, in a new folder`);
  const root = {
    operator: SigningKey.create("O"),
    system: SigningKey.create("A"),
    mesh: SigningKey.create("A"),
    agents: SigningKey.create("A"),
  };
  // A server that starts again takes these for newer than what coordinators pushed within the same second: they are a little older.
  const made = trustFiles({ root, nowMs: nowMs - 60_000, revoked: { system: {}, mesh: {} } });
  const half = `${dir}.${randomUUID()}.new`;
  try {
    await writeAll(half, { ...rootFiles(root), ...made });
    await rename(half, dir);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Replaces all keys and credentials but the identities in `root/`: the new ones stand in a folder beside the old, `<dir>.new`, and what stood
 * before is void for servers that are told. Throws TrustError, and what the file system throws.
 */
export async function renewTrust(dir: string, nowMs: number): Promise<string> {
  const next = `${dir}.new`;
  if (await exists(next)) throw new TrustError(`${next} is there already: put it to use, or remove it`);
  const root = {
    operator: await readSeed(join(dir, ROOT_FILES.operator), "O"),
    system: await readSeed(join(dir, ROOT_FILES.system), "A"),
    mesh: await readSeed(join(dir, ROOT_FILES.mesh), "A"),
    agents: await readSeed(join(dir, ROOT_FILES.agents), "A"),
  };
  const { accounts } = await readServerTrust(dir);
  const nowS = Math.floor(nowMs / 1_000);
  const revoked = async (account: SigningKey, ...files: readonly string[]): Promise<RevokedKeys> => {
    const before = readClaims(accounts[account.publicKey] ?? "")?.nats["revocations"];
    const keys = await Promise.all(files.map((file) => readUserKey(join(dir, file))));
    return { ...(isTimes(before) ? before : {}), ...Object.fromEntries(keys.map((key) => [key, nowS])) };
  };
  const { coordinator, admin } = TRUST_FILES;
  const made = trustFiles({
    root,
    nowMs,
    revoked: {
      system: await revoked(root.system, `${coordinator}/${COORDINATOR_FILES.system}`),
      mesh: await revoked(root.mesh, `${coordinator}/${COORDINATOR_FILES.credentials}`, admin),
    },
  });
  await writeAll(next, { ...rootFiles(root), ...made });
  return next;
}

interface TrustParts {
  readonly root: Readonly<Record<keyof TrustIds, SigningKey>>;
  readonly nowMs: number;
  /** Users of these accounts whose credentials are void. */
  readonly revoked: Readonly<Record<"system" | "mesh", RevokedKeys>>;
}

const ROOT_FILES: Readonly<Record<keyof TrustIds, string>> = {
  operator: "root/operator.nk",
  system: "root/system-account.nk",
  mesh: "root/mesh-account.nk",
  agents: "root/agents-account.nk",
};

function rootFiles(root: TrustParts["root"]): Readonly<Record<string, string>> {
  return {
    [ROOT_FILES.operator]: root.operator.seed,
    [ROOT_FILES.system]: root.system.seed,
    [ROOT_FILES.mesh]: root.mesh.seed,
    [ROOT_FILES.agents]: root.agents.seed,
  };
}

/** All files but those of the identities, with new keys. */
function trustFiles({ root, nowMs, revoked }: TrustParts): Readonly<Record<string, string>> {
  const issuedAtS = Math.floor(nowMs / 1_000);
  const [operatorSigning, agentsSigning] = [SigningKey.create("O"), SigningKey.create("A")];
  const ids: TrustIds = {
    operator: root.operator.publicKey,
    system: root.system.publicKey,
    mesh: root.mesh.publicKey,
    agents: root.agents.publicKey,
  };
  const accounts = [
    systemAccountClaims(ids, { issuedAtS, revoked: revoked.system }),
    meshAccountClaims(ids, { issuedAtS, revoked: revoked.mesh }),
    agentsAccountClaims(ids, { issuedAtS, revoked: {}, signingKeys: [agentsSigning.publicKey] }),
  ];
  const server: ServerTrust = {
    operator: signClaims(operatorClaims(ids, [operatorSigning.publicKey], issuedAtS), root.operator),
    systemAccount: ids.system,
    meshAccount: ids.mesh,
    accounts: Object.fromEntries(accounts.map((claims) => [claims.subject, signClaims(claims, operatorSigning)])),
  };
  const user = (name: string, account: SigningKey, permissions?: Permissions): string =>
    makeUserCredentials({ name, account, permissions, issuedAtS });
  const [mine, own] = [COORDINATOR_FILES, TRUST_FILES.coordinator];
  return {
    [TRUST_FILES.server]: confOf(server),
    [TRUST_FILES.serverJson]: JSON.stringify(server, null, 2),
    [TRUST_FILES.admin]: user("admin", root.mesh),
    [`${own}/${mine.ids}`]: JSON.stringify(ids, null, 2),
    [`${own}/${mine.credentials}`]: user("coordinator", root.mesh, COORDINATOR_PERMISSIONS),
    [`${own}/${mine.system}`]: user("coordinator", root.system, claimsPermissions(ids.agents)),
    [`${own}/${mine.agentsSigning}`]: agentsSigning.seed,
    [`${own}/${mine.operatorSigning}`]: operatorSigning.seed,
  };
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
    await makeFolder(dirname(path), { mode: 0o700 });
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

/** The public key of the user in a file of credentials. */
async function readUserKey(file: string): Promise<string> {
  const text = await readText(file);
  const seed = /^SU[A-Z2-7]+$/m.exec(text)?.[0] ?? "";
  try {
    return new SigningKey(seed, "U").publicKey;
  } catch {
    throw new TrustError(`${file} holds no credentials of a user`);
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

function isTimes(value: unknown): value is RevokedKeys {
  return isRecord(value) && Object.values(value).every((atS) => typeof atS === "number");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
