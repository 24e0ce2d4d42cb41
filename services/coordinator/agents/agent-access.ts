// Puts together what says which agents are let in: their credentials for the broker, and who is shut out.

import type { NatsConnection } from "@nats-io/nats-core";
import { IssuedCredentialsSchema, RevokedAgentSchema } from "../../../gen/mycel/v1/agent_log_pb.ts";
import type { Clock } from "../../../lib/core/clock.ts";
import type { Logger } from "../../../lib/core/logger.ts";
import { RecordBucket } from "../../../lib/nats/record-bucket.ts";
import type { Registry } from "../../../lib/nats/registry.ts";
import type { BusTrust } from "../../../lib/nats/trust/bus-trust.ts";
import { CREDENTIALS_BUCKET, REVOCATIONS_BUCKET } from "../../../lib/wire/subjects.ts";
import { CredentialDesk } from "./credential-desk.ts";
import { KeyHolders } from "./key-holders.ts";
import { Revocations } from "./revocations.ts";
import { TakeBack, type TakeBackParts } from "./take-back.ts";

/** What is needed. */
export interface AgentAccessOptions extends TakeBackParts {
  readonly connection: NatsConnection;
  readonly registry: Registry;
  /** Undefined where the broker asks agents for no credentials. */
  readonly trust: BusTrust | undefined;
  /** How long a credential lives, in milliseconds. */
  readonly credentialMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Which agents are let in. */
export interface AgentAccess extends AsyncDisposable {
  /** Undefined where the broker asks agents for no credentials. */
  readonly credentials: CredentialDesk | undefined;
  readonly revocations: Revocations;
}

/** Opens it; resolves when everybody who is shut out is known. */
export async function openAgentAccess(options: AgentAccessOptions): Promise<AgentAccess> {
  const { connection, registry, trust, credentialMs, clock, logger } = options;
  const stack = new AsyncDisposableStack();
  try {
    const observer = {
      onError: (err: unknown) => logger.warn({ err }, "watch of agents' access broke; watching again"),
      onGarbage: (key: string) => logger.warn({ key }, "record of an agent's access can't be read"),
    };
    const revoked = stack.use(
      await RecordBucket.open({ connection, bucket: REVOCATIONS_BUCKET, schema: RevokedAgentSchema, ...observer }),
    );
    const holders = new KeyHolders();
    const credentials =
      trust === undefined
        ? undefined
        : new CredentialDesk({
            trust,
            issued: stack.use(
              await RecordBucket.open({
                connection,
                bucket: CREDENTIALS_BUCKET,
                schema: IssuedCredentialsSchema,
                onChange: (key, now, before) => holders.take(key, now, before),
                ...observer,
              }),
            ),
            holders,
            clock,
            credentialMs,
          });
    const takeBack = stack.use(new TakeBack(options));
    const revocations = new Revocations({
      revoked,
      registry,
      credentials,
      takeBack: (agent, from) => takeBack.begin(agent, from),
      clock,
      logger,
    });
    return { credentials, revocations, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
