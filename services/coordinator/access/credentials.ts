// Everything by which callers of the mesh show who they are, but for certificates: put together from the store of keys and the settings.

import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { KeyStore } from "../../../lib/nats/key-store.ts";
import type { LiveSecret } from "../../../lib/secrets/live-secret.ts";
import type { QuietLog } from "../quiet-log.ts";
import type { Authenticator } from "./authenticator.ts";
import { jwksUrl } from "./jwt/jwks-source.ts";
import { createJwtAuthenticator } from "./jwt/jwt-authenticator.ts";
import { openKeySet } from "./jwt/key-set.ts";
import { secretKey } from "./jwt/secret-key.ts";
import type { TokenKeys } from "./jwt/token-keys.ts";
import { createApiKeyAuthenticator } from "./keys/api-key-authenticator.ts";
import { KeyDesk } from "./keys/key-desk.ts";
import { KEY_PREFIX } from "./keys/key-text.ts";
import { LastUse } from "./keys/last-use.ts";
import { OperatorKey } from "./keys/operator-key.ts";
import type { Policy } from "./policy.ts";
import { STREAM_TOKEN_PREFIX } from "./stream-token/stream-token.ts";
import { createStreamTokenAuthenticator } from "./stream-token/stream-token-authenticator.ts";
import { type SharedTask, StreamTokenDesk } from "./stream-token/stream-token-desk.ts";
import { StreamSecrets } from "./stream-token/stream-secrets.ts";

/** How tokens of an issuer outside of the mesh are verified. */
export interface JwtSettings {
  /** Who must have issued them. */
  readonly issuer: string;
  /** For whom they must have been issued. */
  readonly audience: string;
  /** What they are signed with: a shared secret of at least 32 bytes, or key pairs whose public keys stand in a JWK set. */
  readonly keys:
    | { readonly kind: "secret"; readonly secret: LiveSecret }
    | { readonly kind: "file"; readonly path: string }
    | { readonly kind: "url"; readonly url: string };
  /** Of key pairs: the algorithms that they may be signed with. Default RS256, PS256, ES256, EdDSA and Ed25519. */
  readonly algorithms?: readonly string[] | undefined;
  /** By how much the issuer's clock may differ, in milliseconds. From 0 to 300,000; default 30,000. */
  readonly clockSkewMs?: number | undefined;
}

/** What an operator sets of credentials. */
export interface CredentialSettings {
  /** The operator's key. None if left out. */
  readonly operatorKey?: LiveSecret | undefined;
  /** Tokens of an issuer outside of the mesh. None are accepted if left out. */
  readonly jwt?: JwtSettings | undefined;
}

/** What credentials need. */
export interface CredentialsOptions extends CredentialSettings {
  readonly connection: NatsConnection;
  readonly policy: Policy;
  /** Reads a task. Throws TASK_NOT_FOUND. */
  readonly readTask: (tenant: string, taskId: string) => Promise<SharedTask>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly quiet: QuietLog;
  /** Hears that an API key was revoked, whoever revoked it. */
  readonly onKeyEnded?: (key: { readonly tenant: string; readonly keyId: string }) => void;
}

/** What there is of credentials. */
export interface Credentials extends AsyncDisposable {
  /** Keys, stream tokens, and tokens of the issuer if there is one: each knows its own by how they are written. */
  readonly authenticators: readonly Authenticator[];
  readonly keyDesk: KeyDesk;
  readonly streamTokenDesk: StreamTokenDesk;
}

/** Opens credentials. Throws RangeError for a setting that is not as it must be, and MeshError BROKER_UNAVAILABLE. */
export async function openCredentials(options: CredentialsOptions): Promise<Credentials> {
  const { connection, policy, readTask, clock, logger, quiet, operatorKey, jwt } = options;
  await using stack = new AsyncDisposableStack();
  const keys = stack.use(
    await KeyStore.open(connection, {
      onError: (err) => logger.warn({ err }, "watch of the keys broke; watching again"),
      onGarbage: (key) => quiet({ key }, "entry of the keys can't be read"),
    }),
  );
  const operator = operatorKey === undefined ? undefined : followOperatorKey(operatorKey, stack);
  const lastUse = stack.use(new LastUse({ keys, clock, logger }));
  stack.defer(
    keys.listen({
      onKeyEnded: (keyId) => {
        lastUse.forget(keyId);
        const tenant = keys.get(keyId)?.key.tenant;
        if (tenant !== undefined) options.onKeyEnded?.({ tenant, keyId });
      },
    }),
  );
  const onUse = lastUse.used.bind(lastUse);
  const secrets = stack.use(await StreamSecrets.open({ keys, clock, logger }));
  const authenticators = [
    createApiKeyAuthenticator({ keys, operatorKey: operator, policy, clock, onUse }),
    createStreamTokenAuthenticator({ secrets, keys, clock }),
  ];
  if (jwt !== undefined) {
    const { issuer, audience, clockSkewMs } = jwt;
    const tokenKeys = stack.use(await openTokenKeys(jwt, { clock, logger, stack }));
    const skew = clockSkewMs === undefined ? {} : { clockSkewMs };
    const foreignPrefixes = [KEY_PREFIX, STREAM_TOKEN_PREFIX];
    authenticators.push(
      createJwtAuthenticator({ keys: tokenKeys, issuer, audience, ...skew, foreignPrefixes, policy, clock }),
    );
  }
  const opened = stack.move();
  return {
    authenticators,
    keyDesk: new KeyDesk({ keys, policy, clock }),
    streamTokenDesk: new StreamTokenDesk({ secrets, read: readTask, clock }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function followOperatorKey(secret: LiveSecret, stack: AsyncDisposableStack): OperatorKey {
  const key = new OperatorKey(secret.current);
  stack.defer(secret.subscribe((next) => key.exchange(next)));
  return key;
}

async function openTokenKeys(
  { keys, algorithms }: JwtSettings,
  parts: { readonly clock: Clock; readonly logger: Logger; readonly stack: AsyncDisposableStack },
): Promise<TokenKeys> {
  if (keys.kind === "secret") {
    const key = secretKey(keys.secret.current);
    parts.stack.defer(keys.secret.subscribe((next) => key.exchange(next)));
    return key;
  }
  const source = keys.kind === "url" ? { kind: keys.kind, url: jwksUrl(keys.url) } : keys;
  const { clock, logger } = parts;
  return await openKeySet({ source, clock, logger, ...(algorithms === undefined ? {} : { algorithms }) });
}
