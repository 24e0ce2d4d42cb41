// An issuer of tokens as an identity provider is one: keys that rotate, a JWKS page over real HTTP that can fail in every way, and a
// maker of tokens in which anything can be wrong.
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type CompactJWSHeaderParameters,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type GenerateKeyPairResult,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose";
import { openWebServer } from "./web-server.ts";

/** A key pair of the issuer, with its name. */
export interface IssuerKey extends GenerateKeyPairResult {
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: JWK;
}

/** What a token says and how it is signed, where it differs from a right one. */
export interface TokenOptions {
  /** Claims beside `iss`, `aud`, `sub`, `iat` and `exp`, or instead of them; undefined leaves one out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** The subject. Default `alice`. */
  readonly subject?: string;
  /** How long it lives, in seconds. Default 300. */
  readonly lifetimeS?: number;
  /** Signs with this key instead of the issuer's. */
  readonly key?: IssuerKey;
  /** Header fields beside `alg` and `kid`, or instead of them. */
  readonly header?: Partial<CompactJWSHeaderParameters>;
  /** When it is issued, in milliseconds since 1970. Default now. */
  readonly nowMs?: number;
}

/** How the JWKS page behaves. */
export type JwksBehaviour = "well" | "down" | "slow" | "garbage" | "huge" | "endless" | "redirect";

/** An issuer. */
export interface TestIssuer extends AsyncDisposable {
  readonly issuer: string;
  readonly audience: string;
  /** Where its JWK set is. */
  readonly jwksUrl: string;
  /** The key it signs with now. */
  readonly key: IssuerKey;
  /** Its JWK set, as the page shows it. */
  readonly jwks: { readonly keys: readonly JWK[] };
  /** How the page behaves; well at first. */
  behaviour: JwksBehaviour;
  /** How often the page was asked for. */
  readonly requests: number;
  /** Makes a token that is right but for the options. */
  token(options?: TokenOptions): Promise<string>;
  /** Begins to sign with another key, which the page shows; the former ones stay there unless they are withdrawn. */
  rotate(options?: { readonly withdraw?: boolean; readonly alg?: string }): Promise<void>;
}

let made = 0;

/** Makes a key pair. */
export async function issuerKey(alg = "ES256"): Promise<IssuerKey> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const kid = `key-${(made += 1)}`;
  return { ...pair, kid, alg, publicJwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: "sig" } };
}

/** A public key as a file shows it, in PEM. */
export async function publicPem(key: IssuerKey): Promise<string> {
  return await exportSPKI(key.publicKey);
}

/** Signs a token that is right but for the options. */
export async function signToken(
  of: { readonly issuer: string; readonly audience: string; readonly key: IssuerKey },
  options: TokenOptions = {},
): Promise<string> {
  const { claims = {}, subject = "alice", lifetimeS = 300, key = of.key, header = {}, nowMs = Date.now() } = options;
  const iat = Math.floor(nowMs / 1_000);
  const right: JWTPayload = { iss: of.issuer, aud: of.audience, sub: subject, iat, exp: iat + lifetimeS };
  const said = Object.fromEntries(Object.entries({ ...right, ...claims }).filter(([, value]) => value !== undefined));
  return await new SignJWT(said).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
}

/** Opens an issuer whose tokens are for the audience `mycel`. */
export async function openTestIssuer(options: { readonly alg?: string } = {}): Promise<TestIssuer> {
  let key = await issuerKey(options.alg);
  let listed = [key];
  let behaviour: JwksBehaviour = "well";
  let requests = 0;
  const jwks = (): { keys: JWK[] } => ({ keys: listed.map(({ publicJwk }) => publicJwk) });
  const server = await openWebServer((_request, response) => {
    requests += 1;
    answer(behaviour, response, JSON.stringify(jwks()), _request);
  });
  const audience = "mycel";
  const issuer: TestIssuer = {
    issuer: server.url,
    audience,
    jwksUrl: `${server.url}/jwks.json`,
    get key() {
      return key;
    },
    get jwks() {
      return jwks();
    },
    get behaviour() {
      return behaviour;
    },
    set behaviour(next) {
      behaviour = next;
    },
    get requests() {
      return requests;
    },
    token: (token) => signToken({ issuer: server.url, audience, key }, token),
    async rotate({ withdraw = false, alg = key.alg } = {}) {
      key = await issuerKey(alg);
      listed = withdraw ? [key] : [...listed, key];
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return issuer;
}

function answer(behaviour: JwksBehaviour, response: ServerResponse, jwks: string, request: IncomingMessage): void {
  const json = { "content-type": "application/json" };
  switch (behaviour) {
    case "well":
      response.writeHead(200, json).end(jwks);
      break;
    case "down":
      request.socket.destroy();
      break;
    case "slow":
      // The head and a first part come, the rest never does.
      response.writeHead(200, json).write(jwks.slice(0, 5));
      break;
    case "garbage":
      response.writeHead(200, json).end('{"keys":"none"}');
      break;
    case "huge":
      response.writeHead(200, json).end(JSON.stringify({ keys: [], padding: "x".repeat(10_000_000) }));
      break;
    case "endless": {
      response.writeHead(200, json);
      const more = (): void => {
        if (!response.destroyed) response.write("x".repeat(65_536), more);
      };
      more();
      break;
    }
    case "redirect":
      response.writeHead(302, { location: "/elsewhere" }).end();
      break;
  }
}
