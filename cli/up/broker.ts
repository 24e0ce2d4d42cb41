// The nats-server of a local mesh: started, kept running on its port and data, and stopped. It trusts whom any server of a mesh trusts.

import {
  type NatsServerProcess,
  startNatsServer,
  type StartNatsServerOptions,
} from "../../lib/nats/server/start-server.ts";
import { storeBound } from "../../lib/nats/server/store-bound.ts";
import { exists, makeTrust, readServerTrust } from "../../lib/nats/trust/trust-folder.ts";
import { pause } from "../../lib/time/pause.ts";

/** What a broker needs. */
export interface BrokerOptions {
  readonly binary: string;
  /** Its data; survives restarts. */
  readonly dataDir: string;
  /** The folder of trust; made if it is missing. */
  readonly trustDir: string;
  /** When it forces what it stored to the disk: `always`, before it acknowledges, or an interval such as `1s`. */
  readonly syncInterval: string;
  /** Hears, in one line each, of what the user should know. */
  readonly report: (line: string) => void;
}

/** How it is started, each time. */
type Start = Omit<StartNatsServerOptions, "port">;

const RESTART_DELAY_MS = 500;

/** A nats-server that is started again when it dies. Disposing it stops it. */
export class Broker implements AsyncDisposable {
  readonly #start: Start;
  readonly #report: BrokerOptions["report"];
  readonly #stopping = new AbortController();
  readonly #port: number;
  #server: NatsServerProcess;
  readonly #loop: Promise<void>;

  private constructor(start: Start, report: BrokerOptions["report"], server: NatsServerProcess) {
    this.#start = start;
    this.#report = report;
    this.#server = server;
    this.#port = server.port;
    this.#loop = this.#keepUp();
  }

  /** Starts it on a free port and resolves when it serves. */
  static async open({ binary, dataDir, trustDir, syncInterval, report }: BrokerOptions): Promise<Broker> {
    if (!(await exists(trustDir))) await makeTrust(trustDir, Date.now());
    const trust = await readServerTrust(trustDir);
    const start = { binary, dataDir, syncInterval, trust, maxFileBytes: await storeBound(dataDir) };
    return new Broker(start, report, await startNatsServer(start));
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
    const report = this.#report;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const { code, signal: cause } = await this.#server.exited;
      if (signal.aborted) return;
      report(`nats-server ended (${cause ?? `exit code ${code}`}); starting it again`);
      while (await pause(RESTART_DELAY_MS, signal)) {
        try {
          this.#server = await startNatsServer({ ...this.#start, port: this.#port });
          report("nats-server is back");
          break;
        } catch (error) {
          report(error instanceof Error ? error.message : String(error));
        }
      }
    }
  }
}
