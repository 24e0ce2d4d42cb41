// The settings of language models, for the stock agent's `inference`. They are judged in services/worker/inference, by the same variables.
// One entry a key.
import type { SecretReference } from "../../secrets/secret-reference.ts";
import type { Key } from "../key.ts";
import { list, secret, text } from "../kinds.ts";

export const provider: Key<string | undefined> = text({
  path: "worker.inference.provider",
  variable: "MYCEL_INFERENCE_PROVIDER",
  fallback: undefined,
  fallbackText: "the first that is set up",
  doc: "The default of several providers: `custom`, `openai`, `anthropic`, `ollama`, in this order. `none` switches all off.",
});

export const model: Key<string | undefined> = text({
  path: "worker.inference.model",
  variable: "MYCEL_INFERENCE_MODEL",
  fallback: undefined,
  doc: "The model of tasks that name none, at the default provider.",
});

export const models: Key<readonly string[]> = list({
  path: "worker.inference.models",
  variable: "MYCEL_INFERENCE_MODELS",
  fallback: [],
  fallbackText: "all",
  allowed: "a list of models",
  doc: "The models that tasks may ask for; a `*` at the end stands for anything.",
});

export const customUrl: Key<string | undefined> = text({
  path: "worker.inference.custom.url",
  variable: "MYCEL_INFERENCE_URL",
  fallback: undefined,
  doc: "Provider `custom`: the base URL of anything that speaks OpenAI's protocol.",
});

export const customKey: Key<SecretReference | undefined> = secret({
  path: "worker.inference.custom.key",
  variable: "MYCEL_INFERENCE_KEY",
  doc: "Its key, if it wants one.",
});

export const openaiKey: Key<SecretReference | undefined> = secret({
  path: "worker.inference.openai.key",
  variable: "OPENAI_API_KEY",
  doc: "Provider `openai`: its key.",
});

export const openaiUrl: Key<string | undefined> = text({
  path: "worker.inference.openai.url",
  variable: "OPENAI_BASE_URL",
  fallback: undefined,
  fallbackText: "OpenAI's own",
  doc: "The base URL of its API.",
});

export const anthropicKey: Key<SecretReference | undefined> = secret({
  path: "worker.inference.anthropic.key",
  variable: "ANTHROPIC_API_KEY",
  doc: "Provider `anthropic`: its key.",
});

export const anthropicUrl: Key<string | undefined> = text({
  path: "worker.inference.anthropic.url",
  variable: "ANTHROPIC_BASE_URL",
  fallback: undefined,
  fallbackText: "Anthropic's own",
  doc: "The base URL of its API.",
});

export const ollamaHost: Key<string | undefined> = text({
  path: "worker.inference.ollama.host",
  variable: "OLLAMA_HOST",
  fallback: undefined,
  doc: "Provider `ollama`: where it listens, as its own server takes it.",
});
