// The headers of a message to be published.
//
// nats.js checks each name and looks through all that are there for each that is added: 9 µs a message, as much as the rest of publishing
// it. Here a name is a constant of this project and is added once.

import { MsgHdrsImpl } from "@nats-io/nats-core";

/** What would end a header early and begin another one. */
const LINE_BREAK = /[\r\n]/;

/** Headers that are cheap to add. */
export class PublishedHeaders extends MsgHdrsImpl {
  /** Adds one. The name must be a constant of this project; a value may come from anywhere. Throws if it can't stand in a header. */
  add(name: string, value: string): void {
    if (LINE_BREAK.test(value)) throw new RangeError(`the header ${name} can't hold a line break`);
    this.headers.set(name, [value]);
  }

  override encode(): Uint8Array {
    return Buffer.from(this.toString());
  }
}
