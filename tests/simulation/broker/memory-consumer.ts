// A durable pull consumer in memory: what waits, what is delivered and not acknowledged, and how often. As at the broker, an
// acknowledgement is about the message, not about the delivery by which it was sent.
import { type MemoryMessage, type MemoryStream, matches } from "./memory-stream.ts";

/** A message that is not acknowledged. */
export interface Item {
  readonly message: MemoryMessage;
  /** How often it was delivered. */
  deliveries: number;
  /** Whether it is delivered, and its lease has not ended. */
  leased: boolean;
  /** When the lease ends, by the broker's clock. */
  leasedUntilMs: number;
  /** Until when it is held back after a negative acknowledgement. */
  heldUntilMs: number;
}

/** A message as a puller gets it. */
export interface MemoryDelivery {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly seq: number;
  readonly reply: string;
  readonly deliveries: number;
  /** When the message was stored. */
  readonly storeMs: number;
}

/** How it was made. */
export interface ConsumerSettings {
  readonly name: string;
  readonly filter: string;
  /** How long a delivery may stay unacknowledged, in milliseconds. */
  readonly ackWaitMs: number;
  readonly createMs: number;
}

/** A consumer. */
export class MemoryConsumer {
  readonly settings: ConsumerSettings;
  readonly items: Map<number, Item> = new Map();
  readonly #stream: MemoryStream;
  #delivered = 0;

  constructor(stream: MemoryStream, settings: ConsumerSettings) {
    this.#stream = stream;
    this.settings = settings;
    for (const message of stream.messages()) this.onStored(message);
  }

  /** How many wait for their first delivery. */
  get pending(): number {
    return [...this.items.values()].filter(({ deliveries }) => deliveries === 0).length;
  }

  /** How many were delivered and are not acknowledged. */
  get unacknowledged(): number {
    return this.items.size - this.pending;
  }

  /** Takes note of a new message of the stream. */
  onStored(message: MemoryMessage): void {
    if (!matches(this.settings.filter, message.subject)) return;
    this.items.set(message.sequence, {
      message,
      deliveries: 0,
      leased: false,
      leasedUntilMs: 0,
      heldUntilMs: 0,
    });
  }

  /** What can be delivered now: redeliveries first. */
  available(nowMs: number): Item[] {
    const found = [...this.items.values()].filter(({ leased, heldUntilMs }) => !leased && heldUntilMs <= nowMs);
    return found.sort((a, b) => Number(a.deliveries === 0) - Number(b.deliveries === 0));
  }

  /** Delivers an item. */
  deliver(item: Item, nowMs: number): MemoryDelivery {
    const { message } = item;
    item.deliveries += 1;
    item.leased = true;
    item.leasedUntilMs = nowMs + this.settings.ackWaitMs;
    this.#delivered += 1;
    const facts = [item.deliveries, message.sequence, this.#delivered, BigInt(message.storeMs) * 1_000_000n];
    return {
      subject: message.subject,
      data: message.body,
      seq: message.sequence,
      reply: `$JS.ACK.${this.#stream.name}.${this.settings.name}.${facts.join(".")}.${this.pending}`,
      deliveries: item.deliveries,
      storeMs: message.storeMs,
    };
  }

  /** Takes an answer to a delivery. */
  answer(sequence: number, body: string, nowMs: number): void {
    const item = this.items.get(sequence);
    if (item === undefined) return;
    if (body === "+ACK") this.items.delete(sequence);
    else if (body === "+WPI") item.leasedUntilMs = nowMs + this.settings.ackWaitMs;
    else if (body.startsWith("-NAK")) {
      item.leased = false;
      item.heldUntilMs = nowMs + delayMsOf(body);
    } else throw new Error(`a delivery was answered with ${body}`);
  }

  /** Ends the lease of an item: it will be delivered again. */
  expire(item: Item): void {
    item.leased = false;
  }

  /** Ends every lease that is over. */
  expireUntil(nowMs: number): void {
    for (const item of this.items.values()) if (item.leased && item.leasedUntilMs <= nowMs) this.expire(item);
  }
}

function delayMsOf(body: string): number {
  const json = body.slice("-NAK".length).trim();
  if (json === "") return 0;
  const { delay = 0 } = JSON.parse(json) as { readonly delay?: number };
  return delay / 1_000_000;
}
