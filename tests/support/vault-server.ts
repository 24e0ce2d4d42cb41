// A server that speaks as HashiCorp Vault does, in the shapes of its HTTP API: KV version 2, tokens, AppRole and Kubernetes logins. It can be
// sealed, be slow and talk nonsense.
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { openWebServer, type TestCertificate, type WebServer } from "./web-server.ts";

/** A request that came. */
export interface VaultCall {
  readonly method: string;
  /** Below `/v1/`. */
  readonly path: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

interface TokenFacts {
  ttl: number;
  readonly renewable: boolean;
}

/** Answers a request in place of Vault. */
type Answer = (response: ServerResponse) => unknown;

/** What the server knows, and how it may be told more. */
export class VaultServer implements AsyncDisposable {
  readonly calls: VaultCall[] = [];
  /** By mount and path, e.g. `secret/mycel`. */
  readonly secrets: Map<string, Readonly<Record<string, unknown>> | "deleted"> = new Map();
  readonly tokens: Map<string, TokenFacts> = new Map();
  /** The AppRole that may log in. */
  readonly role: { roleId: string; secretId: string } = { roleId: "role-1", secretId: "secret-id-1" };
  /** What a login gives. */
  granted: TokenFacts = { ttl: 3600, renewable: true };
  isSealed = false;
  /** Answers in place of Vault as long as it is set; keyed by path, or `*`. */
  readonly instead: Map<string, Answer> = new Map();
  readonly #listeners = new Set<() => void>();
  #server: WebServer | undefined;
  #logins = 0;

  static async open(certificate?: TestCertificate): Promise<VaultServer> {
    const vault = new VaultServer();
    const options = certificate === undefined ? {} : { certificate };
    vault.#server = await openWebServer((request, response) => vault.#take(request, response), options);
    return vault;
  }

  get url(): string {
    return this.#server!.url;
  }

  /** How often `path` was asked for. */
  count(path: string): number {
    return this.calls.filter((call) => call.path === path).length;
  }

  /** Resolves when `path` has been asked for so often. */
  async called(path: string, times = 1): Promise<void> {
    while (this.count(path) < times) {
      await new Promise<void>((resolve) => {
        this.#listeners.add(resolve);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").replace(/^\/v1\//, "");
    const written = await text(request);
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    const body = (written === "" ? {} : JSON.parse(written)) as Record<string, unknown>;
    const [token, namespace] = [header("x-vault-token"), header("x-vault-namespace")];
    this.calls.push({ method: request.method ?? "", path, token, namespace, body });
    response.once("finish", () => {
      for (const listener of this.#listeners) listener();
      this.#listeners.clear();
    });
    const instead = this.instead.get(path) ?? this.instead.get("*");
    if (instead !== undefined) return void instead(response);
    if (this.isSealed) return answer(response, 503, { errors: ["Vault is sealed"] });
    if (path.startsWith("auth/") && path.endsWith("/login")) return this.#logIn(path, body, response);
    const facts = this.tokens.get(token ?? "");
    if (facts === undefined) return answer(response, 403, { errors: ["permission denied"] });
    if (path === "auth/token/lookup-self") {
      return answer(response, 200, { ...envelope, data: { ...facts, id: token, policies: ["mycel"] } });
    }
    if (path === "auth/token/renew-self") {
      if (!facts.renewable) return answer(response, 400, { errors: ["lease is not renewable"] });
      return answer(response, 200, { ...envelope, auth: authOf(token!, facts) });
    }
    this.#read(path, response);
  }

  #logIn(path: string, body: Readonly<Record<string, unknown>>, response: ServerResponse): void {
    const isAppRole = body["role_id"] === this.role.roleId && body["secret_id"] === this.role.secretId;
    const isPod = path === "auth/kubernetes/login" && body["role"] === "mycel" && body["jwt"] === "pod-jwt";
    if (!isAppRole && !isPod) return answer(response, 400, { errors: ["invalid role or secret ID"] });
    this.#logins += 1;
    const token = `hvs.login-${this.#logins}`;
    this.tokens.set(token, { ...this.granted });
    answer(response, 200, { ...envelope, auth: authOf(token, this.granted) });
  }

  #read(path: string, response: ServerResponse): void {
    const stored = this.secrets.get(path.replace("/data/", "/"));
    if (stored === undefined) return answer(response, 404, { errors: [] });
    const metadata = { created_time: "2026-01-01T00:00:00Z", deletion_time: "", destroyed: false, version: 1 };
    if (stored !== "deleted") return answer(response, 200, { ...envelope, data: { data: stored, metadata } });
    answer(response, 404, {
      ...envelope,
      data: { data: null, metadata: { ...metadata, deletion_time: "2026-02-01T00:00:00Z" } },
    });
  }
}

/** Never answers. */
export const silence: Answer = (response) => once(response, "close");

/** Answers with a status and JSON. */
export function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

const envelope = {
  request_id: "r-1",
  lease_id: "",
  renewable: false,
  lease_duration: 0,
  wrap_info: null,
  warnings: null,
};

function authOf(token: string, { ttl, renewable }: TokenFacts): object {
  return {
    client_token: token,
    accessor: "a-1",
    policies: ["default", "mycel"],
    token_policies: ["default", "mycel"],
    lease_duration: ttl,
    renewable,
    entity_id: "e-1",
    token_type: "service",
    orphan: true,
  };
}
