// The headers of a message to be published, as the text that goes over the wire.
//
// nats.js keeps headers as a map of lists, checks each name and looks through all of them for each that is added: 9 µs a message, as much
// as the rest of publishing it. These are written once and never looked into.

import { MsgHdrsImpl } from "@nats-io/nats-core";

/** What would end a header early and begin another one. */
const LINE_BREAK = /[\r\n]/;

/** Headers that can only be sent. */
export class PublishedHeaders extends MsgHdrsImpl {
  #lines = "NATS/1.0\r\n";

  /** Adds one. The name must be a constant of this project; a value may come from anywhere. Throws if it can't stand in a header. */
  add(name: string, value: string): void {
    if (LINE_BREAK.test(value)) throw new RangeError(`the header ${name} can't hold a line break`);
    this.#lines += `${name}: ${value}\r\n`;
  }

  override toString(): string {
    return `${this.#lines}\r\n`;
  }

  override encode(): Uint8Array {
    return Buffer.from(this.toString());
  }
}
