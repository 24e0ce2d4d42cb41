// Which language a file is written in, judged by its name alone, and which dialect the parser is told. Pure.

/** Dialects that the parser understands. Plain JavaScript is read as `jsx`: many .js files hold JSX. */
export type Dialect = "jsx" | "ts" | "tsx" | "dts";

/** A language by its display name; `dialect` only where the file can be parsed. */
export interface Language {
  readonly name: string;
  readonly dialect?: Dialect;
}

const JAVASCRIPT: Language = { name: "JavaScript", dialect: "jsx" };
const TYPESCRIPT: Language = { name: "TypeScript", dialect: "ts" };
const OTHER: Language = { name: "Other" };

const PARSED: ReadonlyMap<string, Language> = new Map([
  ["js", JAVASCRIPT],
  ["mjs", JAVASCRIPT],
  ["cjs", JAVASCRIPT],
  ["jsx", JAVASCRIPT],
  ["ts", TYPESCRIPT],
  ["mts", TYPESCRIPT],
  ["cts", TYPESCRIPT],
  ["tsx", { name: "TypeScript", dialect: "tsx" }],
]);

const DECLARATIONS: Language = { name: "TypeScript", dialect: "dts" };

const NAMES_BY_EXTENSION: ReadonlyMap<string, string> = new Map(
  Object.entries({
    Assembly: "asm s",
    C: "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx",
    CSS: "css less sass scss",
    CSV: "csv tsv",
    Clojure: "clj cljs",
    Dart: "dart",
    Elixir: "ex exs",
    Erlang: "erl hrl",
    Go: "go",
    GraphQL: "gql graphql",
    HTML: "htm html",
    Haskell: "hs",
    JSON: "json json5 jsonc jsonl map webmanifest",
    Java: "java",
    Julia: "jl",
    Kotlin: "kt kts",
    Lua: "lua",
    Markdown: "markdown md mdx",
    Nix: "nix",
    OCaml: "ml mli",
    "Objective-C": "m mm",
    PHP: "php",
    Perl: "pl pm",
    "Plain text": "txt text log",
    Protobuf: "proto",
    Python: "py pyi",
    R: "r",
    Ruby: "rb",
    Rust: "rs",
    SQL: "sql",
    SVG: "svg",
    Scala: "scala",
    Shell: "bash fish ksh sh zsh",
    Svelte: "svelte",
    Swift: "swift",
    TOML: "toml",
    Terraform: "hcl tf",
    Vue: "vue",
    XML: "xml xsd xsl",
    YAML: "yaml yml",
    Zig: "zig",
  }).flatMap(([name, extensions]) => extensions.split(" ").map((extension): [string, string] => [extension, name])),
);

const NAMES_BY_FILE: ReadonlyMap<string, string> = new Map([
  ["dockerfile", "Dockerfile"],
  ["makefile", "Makefile"],
  ["license", "Plain text"],
  ["licence", "Plain text"],
  ["notice", "Plain text"],
  ["copying", "Plain text"],
  ["readme", "Plain text"],
]);

/** The language of the file at `path`; the case of the name does not matter. */
export function languageOf(path: string): Language {
  const file = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  if (/\.d\.[cm]?ts$/.test(file)) return DECLARATIONS;
  const dot = file.lastIndexOf(".");
  const extension = dot > 0 ? file.slice(dot + 1) : "";
  const parsed = PARSED.get(extension);
  if (parsed !== undefined) return parsed;
  const name = NAMES_BY_EXTENSION.get(extension) ?? NAMES_BY_FILE.get(file);
  return name === undefined ? OTHER : { name };
}
