// Owns the connections to providers of language models. The one place that knows the libraries that speak their protocols, and where
// requests to them leave: with the operator's keys, to the operator's addresses, never on to another.
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { Agent, fetch as undiciFetch } from "undici";
import type { InferenceSettings, ProviderName, ProviderSettings } from "./provider-settings.ts";

/** Longest time to connect to a provider. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Most bytes of one response: a token comes in some 300, so that this is more than any model says. */
const MAX_RESPONSE_BYTES = 128 * 1024 * 1024;

/** A provider that models can be had from. */
export interface ModelProvider {
  readonly name: ProviderName;
  /** Host and port of its API. */
  readonly host: string;
  readonly port: number;
  /** The variable that holds its key, for advice. */
  readonly keyVariable: string;
  /** The text with the key taken out, should it hold it. */
  readonly withoutKey: (text: string) => string;
  /** One of its models, by its name. Nothing is sent. */
  readonly model: (name: string) => LanguageModelV4;
}

/** Providers that are ready for use. */
export interface ModelProviders extends AsyncDisposable {
  /** The first is the default. At least one. */
  readonly all: readonly ModelProvider[];
  readonly settings: InferenceSettings;
}

/** What may be chosen about the connections. */
export interface ModelProvidersOptions {
  /** Most bytes of one response. 128 MiB if left out. */
  readonly maxResponseBytes?: number;
}

/** Opens the providers of `settings`; undefined if there are none. Libraries are loaded only for those that there are. */
export async function openModelProviders(
  settings: InferenceSettings,
  { maxResponseBytes = MAX_RESPONSE_BYTES }: ModelProvidersOptions = {},
): Promise<ModelProviders | undefined> {
  if (settings.providers.length === 0) return undefined;
  // Models think for minutes before they say a word; how long is waited is the call's to say.
  const agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    maxResponseSize: maxResponseBytes,
  });
  const all = await Promise.all(
    settings.providers.map(async (provider): Promise<ModelProvider> => {
      const url = new URL(provider.baseUrl);
      const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
      const { name, keyVariable, apiKey } = provider;
      const withoutKey = (text: string): string => (apiKey === undefined ? text : text.replaceAll(apiKey, "[key]"));
      const model = await modelsOf(provider, fetchBy(agent));
      return { name, host: url.hostname, port, keyVariable, withoutKey, model };
    }),
  );
  return { all, settings, [Symbol.asyncDispose]: () => agent.destroy() };
}

type Fetch = typeof globalThis.fetch;

function fetchBy(dispatcher: Agent): Fetch {
  return (input, { method = "GET", headers, body, signal } = {}) =>
    undiciFetch(input instanceof Request ? input.url : input, {
      method,
      headers: [...new Headers(headers)],
      // The libraries send JSON as text.
      body: typeof body === "string" ? body : null,
      signal: signal ?? null,
      // A redirect would take the key along to an address that the operator did not name.
      redirect: "manual",
      dispatcher,
    });
}

async function modelsOf({ name, baseUrl, apiKey }: ProviderSettings, fetch: Fetch): Promise<ModelProvider["model"]> {
  switch (name) {
    case "openai": {
      const { createOpenAI } = await import("@ai-sdk/openai");
      const provider = createOpenAI({ baseURL: baseUrl, apiKey: apiKey ?? "", fetch });
      // Chat completions rather than responses: whoever sets OPENAI_BASE_URL names a server that speaks these.
      return (model) => provider.chat(model);
    }
    case "anthropic": {
      const { createAnthropic } = await import("@ai-sdk/anthropic");
      const provider = createAnthropic({ baseURL: baseUrl, apiKey: apiKey ?? "", fetch });
      return (model) => provider(model);
    }
    case "ollama":
    case "custom": {
      const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
      const provider = createOpenAICompatible({
        name,
        baseURL: baseUrl,
        ...(apiKey === undefined ? {} : { apiKey }),
        includeUsage: true,
        supportsStructuredOutputs: true,
        fetch,
      });
      return (model) => provider.chatModel(model);
    }
  }
}
