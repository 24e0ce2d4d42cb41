// Owns how the settings lead to secrets: opens them with the Vault that is configured, and hands settings on to what takes variables.
import { readFile } from "node:fs/promises";
import type { Logger } from "../core/logger.ts";
import type { Redactor } from "../secrets/redactor.ts";
import type { SecretReference } from "../secrets/secret-reference.ts";
import { openSecrets, type Secrets, type VaultOptions } from "../secrets/secrets.ts";
import { ConfigError } from "./config-error.ts";
import type { Key } from "./key.ts";
import * as vault from "./keys/vault.ts";
import type { Settings } from "./settings.ts";

/** What {@link openConfiguredSecrets} needs. */
export interface ConfiguredSecretsOptions {
  readonly settings: Settings;
  /** Is told every secret. */
  readonly redactor: Redactor;
  readonly logger: Logger;
}

/** Opens the way to secrets, as the settings say. Throws ConfigError if they say too little of Vault. */
export async function openConfiguredSecrets(options: ConfiguredSecretsOptions): Promise<Secrets> {
  const { settings, logger } = options;
  const configured = await vaultOptionsOf(settings);
  if (configured !== undefined && isPlainAndFar(configured.address)) {
    logger.warn({ address: configured.address }, "vault is reached without TLS: secrets can be read on the way");
  }
  return openSecrets({ ...options, vault: configured });
}

/** A setting that something takes as a variable. */
type PassedKey = Key<string | undefined> | Key<readonly string[]> | Key<SecretReference | undefined>;

/** The variables of `keys`, with what holds for them, secrets included. Keys that nobody gave are left out. Throws SecretError. */
export async function environmentOf(
  settings: Settings,
  keys: readonly PassedKey[],
  secrets: Secrets,
): Promise<Readonly<Record<string, string>>> {
  const env: Record<string, string> = {};
  for (const key of keys) {
    if (settings.sourceOf(key) === undefined) continue;
    const value = settings.get<string | readonly string[] | SecretReference | undefined>(key);
    if (typeof value === "string") env[key.variable] = value;
    else if (value !== undefined && "place" in value) env[key.variable] = (await secrets.open(value)).current.reveal();
    else if (value !== undefined) env[key.variable] = value.join(",");
  }
  return env;
}

async function vaultOptionsOf(settings: Settings): Promise<VaultOptions | undefined> {
  const [address, auth] = [settings.get(vault.address), vaultAuthOf(settings)];
  if (address === undefined || auth === undefined) return undefined;
  const caFile = settings.get(vault.caFile);
  return {
    address,
    namespace: settings.get(vault.namespace),
    ca: caFile === undefined ? undefined : await certificatesIn(caFile),
    timeoutMs: settings.get(vault.timeoutMs),
    refreshMs: settings.get(vault.refreshMs),
    auth,
  };
}

/** How to log in to Vault; undefined if there is none. Throws ConfigError for what is missing. */
export function vaultAuthOf(settings: Settings): VaultOptions["auth"] | undefined {
  if (settings.get(vault.address) === undefined) return undefined;
  const kind = settings.get(vault.auth);
  const mount = settings.get(vault.authMount) ?? kind;
  switch (kind) {
    case "token":
      return { kind, token: needed(settings, vault.token, kind) };
    case "approle":
      return {
        kind,
        mount,
        roleId: needed(settings, vault.roleId, kind),
        secretId: needed(settings, vault.secretId, kind),
      };
    case "kubernetes":
      return {
        kind,
        mount,
        role: needed(settings, vault.kubernetesRole, kind),
        tokenFile: settings.get(vault.kubernetesTokenFile),
      };
  }
}

function needed<T>(settings: Settings, key: Key<T | undefined>, auth: string): T {
  const value = settings.get(key);
  if (value !== undefined) return value;
  throw new ConfigError(`${key.path} (${key.variable}) must be given: Vault is set up with vault.auth ${auth}`);
}

async function certificatesIn(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new ConfigError(`vault.caFile (VAULT_CACERT): ${path} cannot be read: ${code}`);
  }
}

function isPlainAndFar(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return protocol === "http:" && !/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}
