// Owns real nats-servers for tests: a fresh one with its own data folder per call, gone at the end of the scope.
// A missing binary fails the test; nothing here skips.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, credsAuthenticator } from "@nats-io/nats-core";

import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import type { NatsServerSettings } from "../../lib/nats/server/server-config.ts";
import { type NatsServerProcess, startNatsServer } from "../../lib/nats/server/start-server.ts";
import type { TestTrust } from "./trust.ts";

/** Settings of a server, and whom it trusts. Default: anybody may do everything. */
export interface TestNatsSettings extends Omit<NatsServerSettings, "trust"> {
  readonly trust?: TestTrust | undefined;
}

/** A nats-server of one test. Its URL stays the same over restarts. */
export interface TestNats extends AsyncDisposable {
  readonly url: string;
  /** How a test itself connects, as somebody who may do everything in the mesh's account. */
  readonly access: Pick<ConnectionOptions, "servers" | "authenticator">;
  /** The same for `openNats`. */
  readonly credentialsFile: string | undefined;
  /** Monitoring pages of the process that runs now; changes with a restart. */
  readonly monitorUrl: string;
  readonly websocketUrl: string | undefined;
  readonly dataDir: string;
  readonly binary: string;
  /** The process that runs now, or that was killed last. */
  readonly process: NatsServerProcess;
  /** Ends the server as a crash would (SIGKILL); {@link restart} brings it back. */
  kill(): Promise<void>;
  /** Stops the server cleanly if it runs, and starts it on the same port and data. */
  restart(): Promise<void>;
}

let found: Promise<string> | undefined;

/** The nats-server binary of this test run: NATS_SERVER_BIN, else whatever the project itself would use. */
export async function natsServerBinary(): Promise<string> {
  found ??= findNatsServer({ environment: process.env }).then(({ binary }) => binary);
  return await found;
}

/** Starts a nats-server on a free port (or the settings' one) with an empty store, in a new folder of `parentDir`. */
export async function openTestNats(given: TestNatsSettings = {}, parentDir: string = tmpdir()): Promise<TestNats> {
  const binary = await natsServerBinary();
  const settings: NatsServerSettings = { ...given, trust: given.trust?.server };
  const dataDir = await mkdtemp(join(parentDir, "mycel-test-nats-"));
  let server: NatsServerProcess;
  try {
    server = await startNatsServer({ ...settings, binary, dataDir });
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
  const { url, port } = server;
  const credentialsFile = given.trust?.adminFile;
  return {
    url,
    access: {
      servers: url,
      ...(credentialsFile === undefined ? {} : { authenticator: credsAuthenticator(readFileSync(credentialsFile)) }),
    },
    credentialsFile,
    dataDir,
    binary,
    get monitorUrl(): string {
      return server.monitorUrl;
    },
    get websocketUrl(): string | undefined {
      return server.websocketUrl;
    },
    get process(): NatsServerProcess {
      return server;
    },
    async kill(): Promise<void> {
      await server.killNow();
    },
    async restart(): Promise<void> {
      await server.stop();
      server = await startNatsServer({ ...settings, binary, dataDir, port });
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await server.killNow();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
