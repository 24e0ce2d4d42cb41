// Owns why a request over NATS got no answer.

/** Why a request got no answer. */
export class LinkError extends Error {
  override readonly name: string = "LinkError";
  readonly code: "TIMEOUT" | "NO_RESPONDERS" | "DISCONNECTED" | "CLOSED";

  constructor(code: LinkError["code"], message: string) {
    super(message);
    this.code = code;
  }
}
