// Owns the secrets of a process: reads each from where its setting says, and keeps it up to date. What cannot be read at the start keeps the
// process from starting; later, the last secret goes on being used.
import type { Logger } from "../core/logger.ts";
import { type LiveSecret, RefreshedSecret } from "./live-secret.ts";
import type { Redactor } from "./redactor.ts";
import { Secret } from "./secret.ts";
import { SecretError } from "./secret-error.ts";
import { readSecretFile } from "./secret-file.ts";
import { type SecretPlace, type SecretReference, shownPlace } from "./secret-reference.ts";
import { VaultApi, type VaultApiOptions } from "./vault/vault-api.ts";
import { VaultError } from "./vault/vault-error.ts";
import { VaultKv } from "./vault/vault-kv.ts";
import type { VaultIdentity } from "./vault/vault-login.ts";
import { VaultSession } from "./vault/vault-session.ts";

/** How often files are looked at: a rotated key should not wait for its use. */
const FILE_REFRESH_MS = 2_000;

/** How HashiCorp Vault is reached, and as whom. References in it name values or files. */
export interface VaultOptions extends VaultApiOptions {
  readonly auth:
    | { readonly kind: "token"; readonly token: SecretReference }
    | { readonly kind: "approle"; readonly mount: string; readonly roleId: string; readonly secretId: SecretReference }
    | { readonly kind: "kubernetes"; readonly mount: string; readonly role: string; readonly tokenFile: string };
  /** How often secrets are read again. */
  readonly refreshMs: number;
}

/** What {@link openSecrets} needs. */
export interface SecretsOptions {
  /** Undefined if there is none: then nothing may refer to it. */
  readonly vault?: VaultOptions | undefined;
  /** Is told every secret. */
  readonly redactor: Redactor;
  readonly logger: Logger;
  /** How often files are looked at. Default: 2 seconds. */
  readonly fileRefreshMs?: number;
}

/** The secrets of a process. Disposing it stops keeping them up to date. */
export interface Secrets extends AsyncDisposable {
  /** Reads a secret and keeps it up to date. Throws SecretError. */
  open(reference: SecretReference): Promise<LiveSecret>;
}

/** Opens the way to secrets. Nothing is read before it is asked for. */
export function openSecrets(options: SecretsOptions): Secrets {
  const { vault, redactor, logger, fileRefreshMs = FILE_REFRESH_MS } = options;
  const running: AsyncDisposable[] = [];
  const warned = new Set<string>();

  const readPlain = async (reference: SecretReference): Promise<Secret> => {
    const { place, named } = reference;
    if (place.kind === "value") return kept(place.secret);
    if (place.kind !== "file") throw new SecretError(`${named} cannot itself be kept in Vault`);
    const { text, isOpen } = await naming(reference, () => readSecretFile(place.path));
    if (isOpen && !warned.has(place.path)) {
      warned.add(place.path);
      logger.warn({ setting: named, file: place.path }, "file with a secret can be read by everybody: chmod o-r");
    }
    return kept(new Secret(text));
  };
  const kept = (secret: Secret): Secret => {
    redactor.add(secret.reveal());
    return secret;
  };
  const api = vault === undefined ? undefined : new VaultApi(vault);
  const kv =
    vault === undefined || api === undefined ? undefined : openKv(vault, { api, readPlain, redactor, logger, running });

  const readerOf = (reference: SecretReference): (() => Promise<Secret>) => {
    const { place } = reference;
    if (place.kind !== "vault") return () => readPlain(reference);
    if (kv === undefined) {
      throw new SecretError(
        `${reference.named}: ${shownPlace(place)} needs vault.address (VAULT_ADDR), which is not set`,
      );
    }
    return async () => kept(await naming(reference, () => kv.read(place)));
  };
  const everyMsOf = ({ kind }: SecretPlace): number | undefined => {
    if (kind === "value") return undefined;
    return kind === "file" ? fileRefreshMs : vault?.refreshMs;
  };
  return {
    async open(reference) {
      const { named, place } = reference;
      const read = readerOf(reference);
      const first = await read();
      const secret = new RefreshedSecret({ named, first, read, everyMs: everyMsOf(place), logger });
      running.push(secret);
      return secret;
    },
    async [Symbol.asyncDispose]() {
      // All are told before the connections go, and none waits for a Vault that does not answer.
      const ends = running.map((one) => one[Symbol.asyncDispose]());
      await Promise.all([...ends, api?.[Symbol.asyncDispose]()]);
    },
  };
}

interface VaultSurroundings {
  readonly api: VaultApi;
  readonly readPlain: (reference: SecretReference) => Promise<Secret>;
  readonly redactor: Redactor;
  readonly logger: Logger;
  readonly running: AsyncDisposable[];
}

function openKv(options: VaultOptions, { api, readPlain, redactor, logger, running }: VaultSurroundings): VaultKv {
  const identity = identityOf(options.auth, readPlain);
  const session = new VaultSession({ api, identity, redactor, logger });
  running.push(session);
  // Half of the time: the fields of a secret are read together, and no refresh gets what the one before it got.
  return new VaultKv({ api, session, cacheMs: options.refreshMs / 2 });
}

function identityOf(auth: VaultOptions["auth"], readPlain: VaultSurroundings["readPlain"]): VaultIdentity {
  switch (auth.kind) {
    case "token":
      return { kind: "token", token: () => readPlain(auth.token) };
    case "approle":
      return { ...auth, secretId: () => readPlain(auth.secretId) };
    case "kubernetes": {
      const { tokenFile, ...rest } = auth;
      // Without a word about who may read it: it is Kubernetes that puts it there.
      return { ...rest, jwt: async () => new Secret((await readSecretFile(tokenFile)).text) };
    }
  }
}

/** Says which setting it is about in what goes wrong. */
async function naming<T>({ named, place }: SecretReference, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof VaultError) {
      throw new SecretError(`${named}: ${shownPlace(place)} cannot be read: ${error.message}`, { cause: error });
    }
    if (error instanceof SecretError) throw new SecretError(`${named}: ${error.message}`, { cause: error });
    throw error;
  }
}
