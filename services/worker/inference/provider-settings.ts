// Owns what an operator's variables say about language models: which providers there are, which is the default, which models are allowed.
// Pure: keys are read from where they are before, and nothing is opened here.

/** Environment variables as `process.env` holds them. */
type Environment = Readonly<Record<string, string | undefined>>;

/** The providers that can be set up. */
export type ProviderName = "openai" | "anthropic" | "ollama" | "custom";

/** How one provider is reached. */
export interface ProviderSettings {
  readonly name: ProviderName;
  /** The base URL of its API, without a slash at its end. */
  readonly baseUrl: string;
  /** Undefined where none is needed. */
  readonly apiKey: string | undefined;
  /** The variable that holds the key, for advice. */
  readonly keyVariable: string;
}

/** Language models as the operator set them up. */
export interface InferenceSettings {
  /** Empty if there are none, or if they are switched off. The first is the default. */
  readonly providers: readonly ProviderSettings[];
  /** The model of tasks for the default provider that name none. */
  readonly defaultModel: string | undefined;
  /** The models that tasks may ask for: exact names, or beginnings that end in `*`. Any if empty. */
  readonly allowedModels: readonly string[];
  /** Why there are no providers, or which there are: what the agent's label says. At most 255 characters. */
  readonly summary: string;
}

const NAMES: readonly ProviderName[] = ["custom", "openai", "anthropic", "ollama"];
const OLLAMA_PORT = 11_434;
const MAX_SUMMARY_LENGTH = 255;

/** Reads the variables. Throws RangeError with the variable and what is wrong with it, never with a key. */
export function readInferenceSettings(env: Environment): InferenceSettings {
  const found = NAMES.map((name) => providerOf(name, env)).filter((settings) => settings !== undefined);
  const wanted = textOf(env, "MYCEL_INFERENCE_PROVIDER");
  if (wanted === "none") return withoutProviders("switched off by MYCEL_INFERENCE_PROVIDER=none");
  if (found.length === 0 && wanted === undefined) {
    return withoutProviders("no key and no URL of a language model is set");
  }
  const first = found.find(({ name }) => name === (wanted ?? found[0]?.name));
  if (first === undefined) {
    const names = found.map(({ name }) => name);
    const there = names.length === 0 ? "none is set up" : `set up: ${names.join(", ")}`;
    throw new RangeError(
      `MYCEL_INFERENCE_PROVIDER is ${JSON.stringify(wanted)}, must be a provider (${there}), or none`,
    );
  }
  const providers = [first, ...found.filter((settings) => settings !== first)];
  const defaultModel = textOf(env, "MYCEL_INFERENCE_MODEL");
  const allowedModels = (env["MYCEL_INFERENCE_MODELS"] ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  const settings = { providers, defaultModel, allowedModels, summary: "" };
  if (defaultModel !== undefined && !isAllowedModel(settings, defaultModel)) {
    throw new RangeError(
      `MYCEL_INFERENCE_MODEL is ${JSON.stringify(defaultModel)}, must be one of MYCEL_INFERENCE_MODELS`,
    );
  }
  const model = defaultModel === undefined ? "" : `, ${defaultModel} by default`;
  const summary = `${providers.map(({ name }) => name).join(", ")}${model}`.slice(0, MAX_SUMMARY_LENGTH);
  return { ...settings, summary };
}

/** Whether tasks may ask for `model`. */
export function isAllowedModel({ allowedModels }: Pick<InferenceSettings, "allowedModels">, model: string): boolean {
  if (allowedModels.length === 0) return true;
  return allowedModels.some((entry) => (entry.endsWith("*") ? model.startsWith(entry.slice(0, -1)) : model === entry));
}

function withoutProviders(summary: string): InferenceSettings {
  return { providers: [], defaultModel: undefined, allowedModels: [], summary };
}

function providerOf(name: ProviderName, env: Environment): ProviderSettings | undefined {
  switch (name) {
    case "openai":
      return keyed(name, env, "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1");
    case "anthropic":
      return keyed(name, env, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1");
    case "ollama": {
      const host = textOf(env, "OLLAMA_HOST");
      if (host === undefined) return undefined;
      return { name, baseUrl: ollamaUrl(host), apiKey: undefined, keyVariable: "OLLAMA_HOST" };
    }
    case "custom": {
      const url = textOf(env, "MYCEL_INFERENCE_URL");
      if (url === undefined) return undefined;
      const keyVariable = "MYCEL_INFERENCE_KEY";
      return { name, baseUrl: urlOf("MYCEL_INFERENCE_URL", url), apiKey: keyOf(env, keyVariable), keyVariable };
    }
  }
}

function keyed(
  name: ProviderName,
  env: Environment,
  keyVariable: string,
  urlVariable: string,
  defaultUrl: string,
): ProviderSettings | undefined {
  const apiKey = keyOf(env, keyVariable);
  if (apiKey === undefined) return undefined;
  return { name, baseUrl: urlOf(urlVariable, textOf(env, urlVariable) ?? defaultUrl), apiKey, keyVariable };
}

/** The same variable tells Ollama's server where to listen, so that it may lack scheme, host and port, and be `0.0.0.0`. */
function ollamaUrl(host: string): string {
  const hasScheme = /^https?:\/\//i.test(host);
  const named = host.startsWith(":") ? `127.0.0.1${host}` : host;
  const url = new URL(urlOf("OLLAMA_HOST", hasScheme ? named : `http://${named}`));
  if (url.port === "" && !hasScheme) url.port = String(OLLAMA_PORT);
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  return `${url.href.replace(/\/+$/, "")}/v1`;
}

function urlOf(variable: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    throw new RangeError(`${variable} must be an http or https URL`);
  }
  // It would stand in logs and errors.
  if (url.username !== "" || url.password !== "") {
    throw new RangeError(`${variable} must hold no user name and no password`);
  }
  if (url.search !== "" || url.hash !== "") throw new RangeError(`${variable} must end with its path`);
  return url.href.replace(/\/+$/, "");
}

function keyOf(env: Environment, variable: string): string | undefined {
  const key = textOf(env, variable);
  // Anything else cannot stand in a header, and the error that says so would quote it.
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new RangeError(`${variable} must be one word of printable ASCII characters`);
  }
  return key;
}

function textOf(env: Environment, variable: string): string | undefined {
  const text = env[variable]?.trim() ?? "";
  return text === "" ? undefined : text;
}
