// What an operator, or a mishap, does to a broker through its own API: consumers deleted, leaders moved, room taken.
import { JetStreamApiError, jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { accessTo } from "../../support/trust.ts";

const REQUEST_TIMEOUT_MS = 5_000;
const BALLAST_STREAM = "BALLAST";
const BALLAST_SUBJECT = "ballast";
const BALLAST_MESSAGE_BYTES = 512 * 1024;

/** Names of consumers that something is done to. */
export type ConsumerMatch = (name: string) => boolean;

/** Deletes the consumers of a stream that match, and resolves with their names. */
export async function deleteConsumers(
  natsUrl: string,
  stream: string,
  match: ConsumerMatch = () => true,
): Promise<readonly string[]> {
  return await managing(natsUrl, async (manager) => {
    const names = await consumersOf(manager, stream, match);
    // Some are gone by themselves, or by another's doing, before their turn comes.
    await Promise.all(names.map((name) => manager.consumers.delete(stream, name).catch(() => undefined)));
    return names;
  });
}

/** Makes the leaders of the consumers of a stream that match hand over, and resolves with the names of those that did. */
export async function stepDownConsumers(
  natsUrl: string,
  stream: string,
  match: ConsumerMatch = () => true,
): Promise<readonly string[]> {
  return await managing(natsUrl, async (manager, request) => {
    const names = await consumersOf(manager, stream, match);
    // Nobody answers for a consumer that is gone, or has no leader just now.
    const told = names.map((name) => request(`$JS.API.CONSUMER.LEADER.STEPDOWN.${stream}.${name}`).catch(() => false));
    const done = await Promise.all(told);
    return names.filter((_, i) => done[i]);
  });
}

/**
 * Writes into a stream of its own until the brokers have no room left; {@link freeStore} gives it back. Resolves with the bytes that it
 * took. Best with a small `maxFileBytes`.
 */
export async function fillStore(natsUrl: string): Promise<number> {
  return await managing(natsUrl, async (manager) => {
    const client = manager.jetstream();
    const message = new Uint8Array(BALLAST_MESSAGE_BYTES);
    await manager.streams.add({ name: BALLAST_STREAM, subjects: [BALLAST_SUBJECT] });
    for (let bytes = 0; ; bytes += message.length) {
      try {
        await client.publish(BALLAST_SUBJECT, message);
      } catch (error) {
        if (error instanceof JetStreamApiError) return bytes;
        throw error;
      }
    }
  });
}

/** Gives back what {@link fillStore} took. */
export async function freeStore(natsUrl: string): Promise<void> {
  await managing(natsUrl, async (manager) => {
    await manager.streams.delete(BALLAST_STREAM);
  });
}

async function consumersOf(manager: JetStreamManager, stream: string, match: ConsumerMatch): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of manager.consumers.list(stream)) if (match(name)) names.push(name);
  return names;
}

async function managing<T>(
  natsUrl: string,
  act: (manager: JetStreamManager, request: (subject: string) => Promise<boolean>) => Promise<T>,
): Promise<T> {
  await using connection = await connect({ ...(await accessTo(natsUrl)), timeout: REQUEST_TIMEOUT_MS });
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: REQUEST_TIMEOUT_MS });
  const request = async (subject: string): Promise<boolean> => {
    const answer = await connection.request(subject, "", { timeout: REQUEST_TIMEOUT_MS });
    return answer.json<{ readonly success?: boolean }>().success === true;
  };
  return await act(manager, request);
}
