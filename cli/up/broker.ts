// The nats-server of a local mesh: started, kept running on its port and data, and stopped.

import { type NatsServerProcess, startNatsServer } from "../../lib/nats/server/start-server.ts";
import { pause } from "../../lib/time/pause.ts";

/** What a broker needs. */
export interface BrokerOptions {
  readonly binary: string;
  /** Its data; survives restarts. */
  readonly dataDir: string;
  /** Hears, in one line each, of what the user should know. */
  readonly report: (line: string) => void;
}

const RESTART_DELAY_MS = 500;

/** A nats-server that is started again when it dies. Disposing it stops it. */
export class Broker implements AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly #stopping = new AbortController();
  readonly #port: number;
  #server: NatsServerProcess;
  readonly #loop: Promise<void>;

  private constructor(options: BrokerOptions, server: NatsServerProcess) {
    this.#options = options;
    this.#server = server;
    this.#port = server.port;
    this.#loop = this.#keepUp();
  }

  /** Starts it on a free port and resolves when it serves. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const { binary, dataDir } = options;
    return new Broker(options, await startNatsServer({ binary, dataDir }));
  }

  /** Its address, the same over restarts. */
  get url(): string {
    return this.#server.url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#server.stop();
    await this.#loop;
    await this.#server.stop();
  }

  async #keepUp(): Promise<void> {
    const { binary, dataDir, report } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { code, signal: cause } = await this.#server.exited;
      if (signal.aborted) return;
      report(`nats-server ended (${cause ?? `exit code ${code}`}); starting it again`);
      while (await pause(RESTART_DELAY_MS, signal)) {
        try {
          this.#server = await startNatsServer({ binary, dataDir, port: this.#port });
          report("nats-server is back");
          break;
        } catch (error) {
          report(error instanceof Error ? error.message : String(error));
        }
      }
    }
  }
}
