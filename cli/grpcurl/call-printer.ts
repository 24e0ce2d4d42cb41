// What `--grpcurl` makes of a command: each call is printed instead of being made, and answered with nothing. Whatever the command makes
// of such answers is not shown.
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { MycelError } from "../../sdk/client/index.ts";
import type { Terminal } from "../output/terminal.ts";
import { grpcurlCall, type ShownSecurity } from "./grpcurl-call.ts";

/** Prints calls. */
export class CallPrinter {
  readonly #out: Terminal;
  readonly #security: () => ShownSecurity;
  #count = 0;

  constructor(out: Terminal, security: () => ShownSecurity) {
    this.#out = out;
    this.#security = security;
  }

  /** How many calls were printed. */
  get count(): number {
    return this.#count;
  }

  /** Prints a call to a coordinator. */
  async print(url: string, method: DescMethod, requests: readonly Message[]): Promise<void> {
    this.#count += 1;
    await this.#out.line(grpcurlCall({ url, method, requests, ...this.#security() }));
  }

  /** Prints a call that takes one message. */
  async printOne<I extends DescMessage>(
    url: string,
    method: DescMethod & { readonly input: I },
    request: MessageInitShape<I>,
  ): Promise<void> {
    await this.print(url, method, [create(method.input, request)]);
  }

  /** A transport that prints. A stream ends at once, canceled. */
  transport(url: string): Transport {
    return new PrintingTransport(this, url);
  }
}

class PrintingTransport implements Transport {
  readonly #printer: CallPrinter;
  readonly #url: string;

  constructor(printer: CallPrinter, url: string) {
    this.#printer = printer;
    this.#url = url;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    _signal: AbortSignal | undefined,
    _timeoutMs: number | undefined,
    _header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    await this.#printer.printOne(this.#url, method, input);
    return {
      stream: false,
      service: method.parent,
      method,
      header: new Headers(),
      trailer: new Headers(),
      message: create(method.output),
    };
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    _signal: AbortSignal | undefined,
    _timeoutMs: number | undefined,
    _header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const requests: Message[] = [];
    for await (const request of input) requests.push(create(method.input, request));
    await this.#printer.print(this.#url, method, requests);
    throw new MycelError("canceled", "the call was printed, not made", { reason: "CALL_PRINTED" });
  }
}
