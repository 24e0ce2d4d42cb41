// Owns the foreign tools of the interop tests: what is found, built and installed, all below .cache/interop.
// A missing toolchain skips the tests on a developer's machine, with the reason printed, and fails them in CI.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { outputOf } from "../support/command.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const CACHE = join(ROOT, ".cache/interop");
const GRPCURL_VERSION = "v1.9.3";

/** A Python in which the interop scripts run. */
export interface PythonTools {
  readonly python: string;
  /** Added to the environment of each script. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the scripts lie. */
  readonly scripts: string;
}

/** The path of grpcurl, built from its Go module; undefined where there is no Go. Throws in CI instead. */
export async function findGrpcurl(): Promise<string | undefined> {
  if (!(await runs("go", ["version"]))) return missing("grpcurl", "there is no Go toolchain");
  const folder = join(CACHE, `grpcurl-${GRPCURL_VERSION}`);
  const binary = join(folder, "grpcurl");
  if (!existsSync(binary)) {
    const env = { GOBIN: folder, GOFLAGS: "", CGO_ENABLED: "0" };
    await outputOf("go", ["install", `github.com/fullstorydev/grpcurl/cmd/grpcurl@${GRPCURL_VERSION}`], { env });
  }
  return binary;
}

/** A Python with the packages and the generated protos; undefined where there is no Python 3.10. Throws in CI instead. */
export async function findPython(): Promise<PythonTools | undefined> {
  const modern = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  if (!(await runs("python3", ["-c", modern]))) return missing("Python", "there is no Python 3.10 with venv and pip");
  const scripts = join(ROOT, "tests/interop/python");
  const requirements = join(scripts, "requirements.txt");
  const digest = createHash("sha256").update(await readFile(requirements));
  const folder = join(CACHE, `python-${digest.digest("hex").slice(0, 12)}`);
  const python = join(folder, "bin/python");
  const stamp = join(folder, "complete");
  if (!existsSync(stamp)) {
    await rm(folder, { recursive: true, force: true });
    await outputOf("python3", ["-m", "venv", folder]);
    await outputOf(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
    await writeFile(stamp, "");
  }
  const generated = join(folder, "generated");
  await mkdir(generated, { recursive: true });
  const protos = (await readdir(join(ROOT, "proto/mycel/v1"))).map((name) => `mycel/v1/${name}`);
  const out = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
  await outputOf(python, ["-m", "grpc_tools.protoc", "-I", join(ROOT, "proto"), ...out, ...protos]);
  return { python, scripts, env: { PYTHONPATH: generated, PYTHONUNBUFFERED: "1", PYTHONDONTWRITEBYTECODE: "1" } };
}

async function runs(command: string, args: readonly string[]): Promise<boolean> {
  return await outputOf(command, args).then(
    () => true,
    () => false,
  );
}

function missing(what: string, reason: string): undefined {
  if (process.env["CI"] !== undefined) throw new Error(`${what} cannot be tested: ${reason}`);
  process.stderr.write(`interop: ${what} is skipped: ${reason}\n`);
  return undefined;
}
