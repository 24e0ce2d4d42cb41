// What an operator's variables say about language models.
import { expect, test } from "vitest";
import { isAllowedModel, readInferenceSettings } from "../../../services/worker/inference/provider-settings.ts";

test("without a key and without a URL there are no providers, and the summary says why", () => {
  const settings = readInferenceSettings({
    OPENAI_API_KEY: " ",
    OPENAI_BASE_URL: "http://a",
    MYCEL_INFERENCE_KEY: "k",
  });
  expect(settings.providers).toEqual([]);
  expect(settings.summary).toBe("no key and no URL of a language model is set");
});

test("none switches all of them off", () => {
  const settings = readInferenceSettings({ OPENAI_API_KEY: "k", MYCEL_INFERENCE_PROVIDER: "none" });
  expect(settings.providers).toEqual([]);
  expect(settings.summary).toBe("switched off by MYCEL_INFERENCE_PROVIDER=none");
});

test("each provider has its address and its key, and the default comes first", () => {
  const env = {
    OPENAI_API_KEY: "a",
    ANTHROPIC_API_KEY: "b",
    OLLAMA_HOST: "localhost",
    MYCEL_INFERENCE_URL: "http://10.0.0.1:8000/v1/",
    MYCEL_INFERENCE_KEY: "c",
  };
  const settings = readInferenceSettings({
    ...env,
    MYCEL_INFERENCE_PROVIDER: "ollama",
    MYCEL_INFERENCE_MODEL: "small",
  });
  expect(settings.summary).toBe("ollama, custom, openai, anthropic, small by default");
  expect(settings.providers.map(({ name, baseUrl, apiKey }) => [name, baseUrl, apiKey])).toEqual([
    ["ollama", "http://localhost:11434/v1", undefined],
    ["custom", "http://10.0.0.1:8000/v1", "c"],
    ["openai", "https://api.openai.com/v1", "a"],
    ["anthropic", "https://api.anthropic.com/v1", "b"],
  ]);
  expect(readInferenceSettings(env).providers[0]?.name).toBe("custom");
});

test.for([
  ["127.0.0.1:8000", "http://127.0.0.1:8000/v1"],
  ["0.0.0.0", "http://127.0.0.1:11434/v1"],
  [":8000", "http://127.0.0.1:8000/v1"],
  ["[::]:8000", "http://[::1]:8000/v1"],
  ["https://ollama.example.com", "https://ollama.example.com/v1"],
  ["http://models:8000/ollama/", "http://models:8000/ollama/v1"],
])("OLLAMA_HOST %s is reached at %s", ([host, url]) => {
  expect(readInferenceSettings({ OLLAMA_HOST: host }).providers[0]?.baseUrl).toBe(url);
});

test.for<[Record<string, string>, string]>([
  [
    { MYCEL_INFERENCE_PROVIDER: "openai" },
    'MYCEL_INFERENCE_PROVIDER is "openai", must be a provider (none is set up), or none',
  ],
  [
    { OLLAMA_HOST: "a", MYCEL_INFERENCE_PROVIDER: "gpt" },
    'MYCEL_INFERENCE_PROVIDER is "gpt", must be a provider (set up: ollama), or none',
  ],
  [{ MYCEL_INFERENCE_URL: "localhost:80" }, "MYCEL_INFERENCE_URL must be an http or https URL"],
  [{ MYCEL_INFERENCE_URL: "http://u:p@a" }, "MYCEL_INFERENCE_URL must hold no user name and no password"],
  [{ MYCEL_INFERENCE_URL: "http://a/?key=1" }, "MYCEL_INFERENCE_URL must end with its path"],
  [{ OPENAI_API_KEY: "two words" }, "OPENAI_API_KEY must be one word of printable ASCII characters"],
  [
    { OLLAMA_HOST: "a", MYCEL_INFERENCE_MODEL: "b", MYCEL_INFERENCE_MODELS: "c" },
    'MYCEL_INFERENCE_MODEL is "b", must be one of MYCEL_INFERENCE_MODELS',
  ],
])("%j is refused", ([env, message]) => {
  expect(() => readInferenceSettings(env)).toThrow(new RangeError(message));
});

test.for<[string[], string, boolean]>([
  [[], "anything", true],
  [["a", "b*"], "a", true],
  [["a", "b*"], "ab", false],
  [["a", "b*"], "b:latest", true],
  [["a", "b*"], "*", false],
])("of %j, %s is allowed: %s", ([allowedModels, model, isAllowed]) => {
  expect(isAllowedModel({ allowedModels }, model)).toBe(isAllowed);
});
